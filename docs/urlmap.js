// SPDX-License-Identifier: BSD-3-Clause
// Where the reference finds the types of other libraries.
baseURLs = [
  ['GLib', 'https://docs.gtk.org/glib/'],
  ['GObject', 'https://docs.gtk.org/gobject/'],
  ['Gio', 'https://docs.gtk.org/gio/'],
];
