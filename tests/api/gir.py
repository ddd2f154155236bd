# SPDX-License-Identifier: BSD-3-Clause
"""Reads a GIR file, and writes it as text that is made to be compared: describe(namespace)."""

import xml.etree.ElementTree as ElementTree

PREFIXES = {"{http://www.gtk.org/introspection/core/1.0}": "",
            "{http://www.gtk.org/introspection/c/1.0}": "c:",
            "{http://www.gtk.org/introspection/glib/1.0}": "glib:"}
OWNERS = ("class", "interface", "record", "enumeration", "bitfield")
CALLABLES = ("constructor", "function", "method", "virtual-method", "glib:signal", "callback")
PROPERTY_FLAGS = ("writable", "construct", "construct-only")


def shorten(name):
    for uri, prefix in PREFIXES.items():
        name = name.replace(uri, prefix)
    return name


def read_namespace(path):
    """The namespace element, its tags and attributes without their long prefixes."""
    tree = ElementTree.parse(path).getroot()
    for element in tree.iter():
        element.tag = shorten(element.tag)
        element.attrib = {shorten(name): value for name, value in element.attrib.items()}
    return tree.find("namespace")


def get_name(element):
    return element.get("name") or element.get("glib:name") or "?"


def is_empty_class(element):
    """The class struct of a final type, of which nobody sees anything."""
    fields = [get_name(field) for field in element.findall("field")]
    return element.get("glib:is-gtype-struct-for") is not None and fields == ["parent_class"]


def list_owners(namespace):
    """Everything that has members: classes, enumerations, ..."""
    return [element for element in namespace
            if element.tag in OWNERS and not is_empty_class(element)]


def list_callables(owner):
    return [element for element in owner if element.tag in CALLABLES]


def list_parameters(callable_):
    return callable_.findall("parameters/parameter")


def describe_type(holder):
    """`Queue`, or for an array with its length in the second parameter `guint8[#1]`."""
    array = holder.find("array")
    if array is None:
        return holder.find("type").get("name") if holder.find("type") is not None else "..."
    length = array.get("length")
    size = array.get("fixed-size") or ("" if length is None else f"#{length}")
    return f"{array.find('type').get('name')}[{size}]"


def describe_value(value):
    """A type and whatever a caller has to know: direction, ownership, whether it may be NULL."""
    words = [describe_type(value)]
    if value.get("direction", "in") != "in":
        words.insert(0, value.get("direction"))
        words += ["caller-allocates"] * (value.get("caller-allocates") == "1")
    if value.get("transfer-ownership") != "none":
        words.append(value.get("transfer-ownership"))
    words += [word for word in ("nullable", "optional", "skip") if value.get(word) == "1"]
    words += [f"scope={value.get('scope')}"] * (value.get("scope") is not None)
    return " ".join(words)


def describe_callable(element):
    parameters = [f"{get_name(parameter)}: {describe_value(parameter)}"
                  for parameter in list_parameters(element)]
    text = f"{element.tag.removeprefix('glib:')} {get_name(element)} ({', '.join(parameters)})"
    returned = element.find("return-value")
    if describe_type(returned) != "none":
        text += f" -> {describe_value(returned)}"
    if element.get("throws") == "1":
        text += " throws"
    return text


def describe_property(element):
    words = ["property", f"{get_name(element)}:", describe_type(element)]
    words += ["readable"] * (element.get("readable") != "0")
    words += [flag for flag in PROPERTY_FLAGS if element.get(flag) == "1"]
    return " ".join(words)


def describe_members(owner):
    yield from (f"implements {get_name(element)}" for element in owner.findall("implements"))
    yield from (f"{get_name(element)} = {element.get('value')}"
                for element in owner.findall("member"))
    yield from (f"field {get_name(element)}" for element in owner.findall("field")
                if element.get("private") != "1")
    yield from sorted(map(describe_property, owner.findall("property")))
    yield from sorted(map(describe_callable, list_callables(owner)))


def describe_owner(owner):
    words = [owner.tag, get_name(owner)]
    words += [f": {owner.get('parent')}"] * (owner.get("parent") is not None)
    words += [word for word in ("abstract", "final") if owner.get(word) == "1"]
    return "\n".join([" ".join(words), *(f"  {line}" for line in describe_members(owner))])


def describe(namespace):
    """The whole API as text: one block per type, one line per thing that it has."""
    blocks = sorted(map(describe_owner, list_owners(namespace)))
    others = sorted(map(describe_callable, list_callables(namespace)))
    constants = sorted(f"constant {get_name(element)}: {describe_type(element)}"
                       for element in namespace.findall("constant"))
    return "\n\n".join([*blocks, "\n".join(constants), "\n".join(others)]) + "\n"
