"""Reads YAML files that people write, in which no key may occur twice; knows nothing of what stands in them."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml


def read_yaml(path: str | Path) -> Any:
    """What a YAML file in UTF-8 holds. Raises OSError, and yaml.YAMLError or ValueError for what is no such file or has a key twice.

    A date such as 2024-13-45 and bytes that are not UTF-8 are the ValueErrors. From a stream, so that an error names the place and quotes
    nothing: what is no such file may be one of documents.
    """
    with open(path, encoding="utf-8") as stream:
        return yaml.load(stream, OnceLoader)


class OnceLoader(yaml.SafeLoader):
    """Refuses a key that occurs twice, of which yaml would keep the last without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        met = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in met:
                raise yaml.constructor.ConstructorError(None, None, "this key stands there already; keep one of the two", key.start_mark)
            met.add(key.value)
        return super().construct_mapping(node, deep)
