// SPDX-License-Identifier: BSD-3-Clause
// Reads 64 random bytes in Vala and prints them in hex: rng_frontend SOCKET
int main (string[] arguments) {
  var frontend = new Vhost.UserFrontend ();
  var driver = new Vhost.Driver (frontend);
  try {
    frontend.open (arguments[1], null);
    driver.start (1, 256, null);
    foreach (uint8 byte in driver.get_queue (0).request (null, 64, null)) {
      print ("%02x", byte);
    }
    driver.stop (null);
  } catch (Error error) {
    printerr ("%s\n", error.message);
    return 1;
  }
  return 0;
}
