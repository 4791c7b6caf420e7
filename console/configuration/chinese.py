"""Chinese of what the models and the loader say: help on fields, and the usual mistakes."""

import re
from functools import cache
from pathlib import Path

from ruamel.yaml import YAML

HELP = Path(__file__).with_name("chinese_help.yaml")
MISTAKES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.DOTALL), words)
    for pattern, words in (
        (r"is required", "必填"),
        (r"kind is required", "须填写 kind（类型）"),
        (r"unknown key; did you mean ('.*?')\? known: (.*)", r"未知的键；是否想写 \1？可用：\2"),
        (r"unknown key; known: (.*)", r"未知的键；可用：\1"),
        (
            r"unknown kind ('.*?'); did you mean ('.*?')\? known: (.*)",
            r"未知的类型 \1；是否想写 \2？可用：\3",
        ),
        (r"unknown kind ('.*?'); known: (.*)", r"未知的类型 \1；可用：\2"),
        (
            r"('.*?') is not a duration; write a number and .*",
            r"\1 不是时长；请写数字加 ms、s、m、h 或 d，例如 20s 或 1.5m",
        ),
        (r"(.*) does not fit; write (.*)", r"\1 不符合要求；请写 \2"),
        (r"input should be less than or equal to (.*)", r"应小于或等于 \1"),
        (r"input should be less than (.*)", r"应小于 \1"),
        (r"input should be greater than or equal to (.*)", r"应大于或等于 \1"),
        (r"input should be greater than (.*)", r"应大于 \1"),
        (r"input should be a valid (?:number|integer).*", "应为数字"),
        (r"input should be a valid boolean.*", "应为 true 或 false"),
        (r"input should be a valid string", "应为文本"),
        (r"input should be (.*)", r"应为 \1"),
        (r"a secret is never written in the configuration; write (.*)", r"配置中不写密码；请写 \1"),
        (r"anchors and aliases .*", "不支持锚点与别名（& 和 *），请完整写出"),
        (r"a tab: .*", "此处不能用制表符，请用空格缩进"),
        (r"found duplicate key (.*)", r"重复的键 \1"),
        (r"larger than (\d+ KiB).*", r"超过 \1，设备不接受"),
        (r"is (\d+), but this software reads up to (\d+): .*", r"为 \1，但此软件最多读取 \2：请先升级软件"),
    )
)  # fmt: skip
"""Patterns of the whole message; what is not here stays English, as the device says it."""


def chinese_help(text: str) -> str:
    """The help in Chinese; English where there is none."""
    return _help().get(text, text)


def chinese_mistake(message: str) -> str:
    """A mistake in Chinese; English where it is not a usual one."""
    for pattern, words in MISTAKES:
        found = pattern.fullmatch(message)
        if found is not None:
            return found.expand(words)
    return message


@cache
def _help() -> dict[str, str]:
    return dict(YAML(typ="safe").load(HELP.read_text(encoding="utf-8")))
