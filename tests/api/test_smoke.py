# SPDX-License-Identifier: BSD-3-Clause
"""Everything can be reached through introspection, is documented, and suits every language."""

import keyword
import unittest

import gi
import gir
import library

gi.require_version("Vhost", "1")
from gi.repository import GIRepository, GLib, Vhost  # noqa: E402


FOR_C = {"Slot", "Queue.pop_batch", "Queue.push_batch"}  # other languages copy through handles


def to_python(name):
    return name.replace("-", "_")


class Typelib(unittest.TestCase):
    def test_it_is_the_one_of_this_build(self):
        repository = GIRepository.Repository.get_default()
        self.assertEqual(repository.get_typelib_path("Vhost"),
                         str(library.BUILD / "introspection" / "Vhost-1.typelib"))

    def test_every_type_and_member_is_there(self):
        for owner in gir.list_owners(gir.read_namespace(library.GIR)):
            if gir.get_name(owner) in FOR_C:
                continue
            with self.subTest(gir.get_name(owner)):
                self.check_members(getattr(Vhost, gir.get_name(owner)), owner)

    def check_members(self, found, owner):
        for element in owner.findall("method") + owner.findall("function"):
            if element.get("moved-to") is None and element.get("introspectable") != "0":
                self.assertTrue(callable(getattr(found, gir.get_name(element))))
        for element in owner.findall("property"):
            self.assertTrue(hasattr(found.props, to_python(gir.get_name(element))))
        for element in owner.findall("member"):
            self.assertEqual(int(getattr(found, gir.get_name(element).upper())),
                             int(element.get("value")))

    def test_error_domain(self):
        self.assertEqual(GLib.quark_to_string(Vhost.Error.quark()), "vhost-error-quark")


class Suitability(unittest.TestCase):
    """What one binding or another cannot do."""

    def setUp(self):
        self.namespace = gir.read_namespace(library.GIR)
        self.owners = {gir.get_name(owner): owner for owner in gir.list_owners(self.namespace)}
        self.callables = [(name, element) for name, owner in self.owners.items()
                          for element in gir.list_callables(owner)]
        self.callables += [("", element) for element in gir.list_callables(self.namespace)]
        self.assertGreater(len(self.callables), 100)

    def check_none(self, wrong):
        names = [f"{owner}.{gir.get_name(element)}" for owner, element in wrong]
        self.assertEqual(names, [])

    def list_ancestors(self, name):
        """An owner, its parents and its interfaces, as far as they are ours."""
        owner = self.owners[name]
        yield owner
        above = [element.get("name") for element in owner.findall("implements")]
        for parent in [owner.get("parent"), *above]:
            if parent in self.owners:
                yield from self.list_ancestors(parent)

    def test_no_method_is_called_connect(self):
        self.check_none((owner, element) for owner, element in self.callables
                        if element.tag == "method" and gir.get_name(element) == "connect")

    def test_no_property_has_the_name_of_a_method(self):
        for name in self.owners:
            family = list(self.list_ancestors(name))
            properties = {to_python(gir.get_name(element)) for owner in family
                          for element in owner.findall("property")}
            methods = {gir.get_name(element) for owner in family
                       for element in owner.findall("method")}
            with self.subTest(name):
                self.assertEqual(properties & methods, set())

    def test_every_name_can_be_written(self):
        """Not so a number, or a word that Python keeps for itself."""
        members = [(name, element) for name, owner in self.owners.items() for element in owner
                   if element.tag == "member"]
        self.check_none((owner, element) for owner, element in self.callables + members
                        if not to_python(gir.get_name(element)).isidentifier()
                        or keyword.iskeyword(gir.get_name(element)))

    def test_no_caller_allocates(self):
        self.check_none((owner, element) for owner, element in self.callables
                        for parameter in gir.list_parameters(element)
                        if parameter.get("direction", "in") != "in"
                        and parameter.get("caller-allocates") == "1")

    def test_everything_can_be_called(self):
        """No varargs, and nothing that the scanner gave up on, but for what is meant for C."""
        self.check_none((owner, element) for owner, element in self.callables
                        if (element.get("introspectable") == "0") !=
                        (f"{owner}.{gir.get_name(element)}" in FOR_C)
                        or element.find("parameters/parameter/varargs") is not None)

    def test_no_container_of_glib(self):
        containers = {"GLib.Array", "GLib.PtrArray", "GLib.HashTable", "GLib.List", "GLib.SList"}
        self.check_none((owner, element) for owner, element in self.callables
                        for type_ in element.iter("type") if type_.get("name") in containers)

    def test_every_callback_can_be_freed(self):
        self.check_none((owner, element) for owner, element in self.callables
                        for parameter in gir.list_parameters(element)
                        if parameter.get("scope") == "notified"
                        and parameter.get("destroy") is None)


class Documentation(unittest.TestCase):
    def check_all(self, wanted):
        """Everything public must satisfy `wanted`."""
        namespace = gir.read_namespace(library.GIR)
        for owner in gir.list_owners(namespace):
            name = gir.get_name(owner)
            members = [*gir.list_callables(owner), *owner.findall("property")]
            missing = [gir.get_name(element) for element in [owner, *members]
                       if element.tag != "virtual-method" and not wanted(element)]
            with self.subTest(name):
                self.assertEqual(missing, [])
        self.assertEqual([gir.get_name(element) for element in gir.list_callables(namespace)
                          if not wanted(element)], [])

    def test_all_is_documented(self):
        self.check_all(lambda element: element.findtext("doc", "").strip())

    def test_all_says_since_when(self):
        self.check_all(lambda element: element.get("version") is not None)


if __name__ == "__main__":
    unittest.main()
