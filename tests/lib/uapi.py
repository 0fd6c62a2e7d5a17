# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kernel interface as its header and as its netlink spec tell it, in one form to compare."""

import re
from pathlib import Path

import yaml

FOLDER = Path(__file__).resolve().parents[2] / "include" / "udpcr"
HEADER = FOLDER / "udpcr_netlink.h"
SPEC = FOLDER / "udpcr.yaml"

# What the manual's types are called in the spec.
TYPES = {"nested": "nest"}


def spec_of(path=SPEC):
    return yaml.safe_load(Path(path).read_text())


def upper(*parts):
    return "".join(parts).replace("-", "_").upper()


# -- the header --

def header_enums(text):
    """{enum: [(member, value)]}, without the sentinels `__..._MAX`."""
    code = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    enums = {}
    for name, body in re.findall(r"\benum\s+(\w+)\s*\{(.*?)\}", code, re.DOTALL):
        members, number = [], 0
        for item in filter(None, (part.strip() for part in body.split(","))):
            member, _, value = (part.strip() for part in item.partition("="))
            if not re.fullmatch(r"\w+", member):
                raise ValueError(f"enum {name}: cannot read {item!r}")
            number = int(value, 0) if value else number
            members.append((member, number))
            number += 1
        sentinel = members.pop()
        if not re.fullmatch(r"__\w+_MAX", sentinel[0]):
            raise ValueError(f"enum {name}: the last member {sentinel[0]} is no sentinel")
        enums[name] = members
    return enums


def header_defines(text):
    """{name: value} of the plain constants: numbers, strings, bits."""
    code = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    defines = {}
    for name, value in re.findall(r"^#define\s+(\w+)[ \t]+(.+?)\s*$", code, re.MULTILINE):
        bit = re.fullmatch(r"\(1U << (\d+)\)", value)
        if bit:
            defines[name] = 1 << int(bit.group(1))
        elif value.startswith('"'):
            defines[name] = value.strip('"')
        elif re.fullmatch(r"\d+", value):
            defines[name] = int(value)
        elif not re.fullmatch(r"\(__\w+_MAX - 1\)", value):
            raise ValueError(f"cannot read #define {name} {value}")
    return defines


def header_types(text):
    """{attribute: type} as the manual's tables give them."""
    return dict(re.findall(r"^ \*\s+(UDPCR_(?:A|OPT|MEMBER|ERRMSG|INTERFACE)_\w+)\s+"
                           r"(u8|u16|u32|u64|binary|string|nested|flag)\b", text, re.MULTILINE))


def header_errors(text):
    """The errno names of the chapter "Errors"."""
    chapter = text.partition(" * Errors\n")[2].partition(" * Growth\n")[0]
    return re.findall(r"^ \*   (E[A-Z0-9]+)\b", chapter, re.MULTILINE)


def from_header(text):
    enums = header_enums(text)
    defines = header_defines(text)
    return {
        "name": defines.pop("UDPCR_GENL_NAME"),
        "version": defines.pop("UDPCR_GENL_VERSION"),
        "defines": {k: v for k, v in defines.items()},
        "enums": enums,
        "types": header_types(text),
    }


# -- the spec --

def entries(first, prefix, names):
    return [(upper(prefix, name), number) for number, name in enumerate(names, first)]


def from_spec(spec):
    defines, enums, types = {}, {}, {}
    for one in spec["definitions"]:
        names = [entry["name"] for entry in one.get("entries", [])]
        if one["type"] == "const":
            defines[upper(spec["name"], "-", one["name"])] = one["value"]
        elif one["type"] == "flags":
            defines.update({upper(one["name-prefix"], name): 1 << bit
                            for bit, name in enumerate(names)})
        else:
            enums[f"{spec['name']}_{one['name']}"] = entries(0, one["name-prefix"], names)
    for one in spec["attribute-sets"]:
        names = [attribute["name"] for attribute in one["attributes"]]
        prefix = one["name-prefix"]
        enums[one["enum-name"].replace("-", "_")] = entries(0, prefix, ["unspec", *names])
        types.update({upper(prefix, attribute["name"]): attribute["type"]
                      for attribute in one["attributes"] if attribute["type"] != "pad"})
    operations = spec["operations"]
    names = [operation["name"] for operation in operations["list"]]
    enums[operations["enum-name"].replace("-", "_")] = entries(
        0, operations["name-prefix"], ["unspec", *names])
    return {"name": spec["name"], "version": spec["version"], "defines": defines, "enums": enums,
            "types": types}


def attributes_of(spec, name="attr"):
    """{attribute: its entry} of an attribute set, with its number as "value"."""
    chosen = next(one for one in spec["attribute-sets"] if one["name"] == name)
    return {one["name"]: {**one, "value": number}
            for number, one in enumerate(chosen["attributes"], 1)}


def stored_only(one):
    """Whether user space alone has it, in what it stores: no message of the module's."""
    return one.get("doc", "").startswith("stored only")


def operation(spec, name):
    return next(one for one in spec["operations"]["list"] if one["name"] == name)


def messages(spec):
    """(operation, "do" or "dump", "request" or "reply", attributes) of every message."""
    for one in spec["operations"]["list"]:
        for kind in ("do", "dump"):
            if kind in one:
                for direction in ("request", "reply"):
                    message = one[kind].get(direction, {})
                    yield one["name"], kind, direction, message.get("attributes", [])


# -- the comparison --

def header_kinds(text):
    """{command: {"do", "dump"}} of the manual's headings `UDPCR_CMD_X (do)`."""
    kinds = {}
    for command, kind in re.findall(r"^ \* (UDPCR_CMD_\w+) \((do|dump)\)$", text, re.MULTILINE):
        kinds.setdefault(command, set()).add(kind)
    return kinds


def differences(text, spec):
    """One sentence for each thing in which header and spec differ."""
    header, said = from_header(text), from_spec(spec)
    for thing in ("name", "version"):
        if header[thing] != said[thing]:
            yield f"{thing}: header {header[thing]!r}, spec {said[thing]!r}"
    for name in sorted(header["defines"].keys() | said["defines"].keys()):
        ours, theirs = header["defines"].get(name), said["defines"].get(name)
        if ours != theirs:
            yield f"#define {name}: header {ours}, spec {theirs}"
    for name in sorted(header["enums"].keys() | said["enums"].keys()):
        ours, theirs = header["enums"].get(name, []), said["enums"].get(name, [])
        for member in dict.fromkeys([*ours, *theirs]):
            if (member in ours) != (member in theirs):
                where = "header" if member in ours else "spec"
                yield f"enum {name}: {member[0]} = {member[1]} is in the {where} only"
        if [m for m in ours if m in theirs] != [m for m in theirs if m in ours]:
            yield f"enum {name}: the order differs"
    for name in sorted(header["types"].keys() | said["types"].keys()):
        ours = header["types"].get(name)
        ours, theirs = TYPES.get(ours, ours), said["types"].get(name)
        # The manual's tables do not repeat what the text has introduced.
        if ours is not None and ours != theirs:
            yield f"type of {name}: header {ours}, spec {theirs}"
    told = {upper(spec["operations"]["name-prefix"], operation["name"]):
            {kind for kind in ("do", "dump") if kind in operation}
            for operation in spec["operations"]["list"]}
    kinds = header_kinds(text)
    for command in sorted(kinds.keys() | told.keys()):
        if kinds.get(command) != told.get(command):
            yield (f"{command}: header {sorted(kinds.get(command, []))}, "
                   f"spec {sorted(told.get(command, []))}")
    known = attributes_of(spec)
    used = set()
    for operation, kind, direction, names in messages(spec):
        used.update(names)
        for name in names:
            if name not in known:
                yield f"spec, {operation} {kind} {direction}: there is no attribute {name!r}"
    for name in known:
        if (name in used) == stored_only(known[name]) and name != "pad":
            yield f"spec: {name!r} is to be in an operation, or stored only, not both"
