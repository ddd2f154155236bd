# SPDX-License-Identifier: BSD-3-Clause
"""What a public header declares: functions, types, enumerators, macros. read_headers()."""

import re

import library

MARK = re.compile(r"VHOST_AVAILABLE_IN_\d+_\d+\b")
DECLARE = re.compile(r"(?:VHOST_AVAILABLE_IN_\d+_\d+\s+)?"
                     r"G_DECLARE_(\w+) \((\w+),\s+(\w+),\s+(\w+),\s+(\w+),\s+\w+\)")
CLEANUP = re.compile(r"G_DEFINE_AUTO\w+ \([^)]*\)")
MACRO = re.compile(r"^\s*#\s*define\s+(\w+)", re.MULTILINE)
DIRECTIVE = re.compile(r"^\s*#(?:[^\n\\]|\\\n|\\.)*$", re.MULTILINE)
ENUM = re.compile(r"typedef enum \{(.*?)\} (\w+)\s*;", re.DOTALL)
TYPEDEF = re.compile(r"typedef\b[^;{}]*?(?:\(\*(\w+)\) \([^;]*\)|\b(\w+))\s*;")
STRUCT = re.compile(r"\bstruct (\w+) \{.*?^\}", re.DOTALL | re.MULTILINE)
FUNCTION = re.compile(r"\b(\w+) \(")


class Header:
    """The names of one header. `unmarked` are the functions without VHOST_AVAILABLE_IN_…."""

    def __init__(self, name, text):
        self.name = name
        self.functions, self.unmarked, self.types = [], [], []
        self.macros = [macro for macro in MACRO.findall(text) if not MARK.fullmatch(macro)]
        text = DIRECTIVE.sub("", library.strip_noise(text)).replace("G_BEGIN_DECLS", "")
        text = DECLARE.sub(self._take_object, text.replace("G_END_DECLS", ""))
        self.enums = {match[1]: re.findall(r"\b(\w+)\s*(?:=[^,]*)?(?:,|$)", match[0].strip())
                      for match in ENUM.findall(text)}
        text = STRUCT.sub(self._take_struct, ENUM.sub("", CLEANUP.sub("", text)))
        text = TYPEDEF.sub(self._take_type, text)
        for statement in text.split(";"):
            self._take_function(statement.strip())
        self.types += self.enums

    def _take_object(self, match):
        """G_DECLARE_… (VhostQueue, vhost_queue, VHOST, QUEUE, GObject) and what it makes."""
        kind, camel, lower, namespace, upper = match.groups()
        self.functions.append(f"{lower}_get_type")
        if not match.group(0).startswith("VHOST_"):
            self.unmarked.append(f"{lower}_get_type")
        self.types.append(camel)
        self.macros += [f"{namespace}_{upper}", f"{namespace}_IS_{upper}"]
        if kind == "DERIVABLE_TYPE":
            self.macros += [f"{namespace}_{upper}_CLASS", f"{namespace}_IS_{upper}_CLASS",
                            f"{namespace}_{upper}_GET_CLASS"]
        if kind == "INTERFACE":
            self.macros.append(f"{namespace}_{upper}_GET_IFACE")
        return ""

    def _take_struct(self, match):
        self.types.append(match.group(1).lstrip("_"))
        return ""

    def _take_type(self, match):
        self.types.append(match.group(1) or match.group(2))
        return ""

    def _take_function(self, statement):
        if found := FUNCTION.search(statement):
            self.functions.append(found.group(1))
            if not MARK.match(statement):
                self.unmarked.append(found.group(1))

    def list_names(self):
        """Every name that a program gets by including this."""
        enumerators = [name for names in self.enums.values() for name in names]
        return [*self.functions, *self.types, *self.macros, *enumerators]


def read_headers():
    return [Header(name, path.read_text())
            for name, path in library.list_public_headers().items()]
