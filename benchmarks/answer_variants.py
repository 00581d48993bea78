"""Gold answers in other words: rewritings that a reader accepts, and changes that a reader rejects.

Each function takes a gold answer and gives the variant, or None if it does not apply to such an answer.
"""

# ruff: noqa: E501 (one variant per line reads as a table)

import re
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from math import gcd

Variant = Callable[[str], str | None]

_INTEGER = re.compile(r"-?\d+")
_DECIMAL = re.compile(r"-?\d*\.\d+")
_FRACTION = re.compile(r"(-?)\\[dt]?frac\{(\d+)\}\{(\d+)\}")
_WORD = re.compile(r"\\(?:text|mbox)\{\(?([A-Za-z][A-Za-z ]+)\)?\}")
_OPTION = re.compile(r"\\text\{\(?([A-F])\)?\}|([A-F])")
_UNIT = re.compile(r"((?:[^{}]|\{[^{}]*\})*[\d})i])\s*\\(?:text|mbox)\{\s*([a-z][a-z .]*)\}(\^\{?\d\}?)?")
_DEGREES = re.compile(r"\s*\^\s*(?:\\circ|\{\\circ\})")
_BASED = re.compile(r"(\d+)_\{?(\d+)\}?")
_E_NOTATION = re.compile(r"(-?\d+(?:\.\d+)?)e([+-]?\d+)")
_TUPLE = re.compile(r"(?:\\left)?([(\[])([^()\[\]]*)(?:\\right)?([)\]])")
_ENVIRONMENT = "\\begin"
_THOUSANDS = re.compile(r"(?<=\d),(?:\\!)?(?=\d{3}(?!\d))")


def rewritings(gold: str) -> Iterator[tuple[str, str]]:
    """(name, text) of each harmless rewriting that applies and differs from the gold answer."""
    return _applied(REWRITINGS, gold)


def changes(gold: str) -> Iterator[tuple[str, str]]:
    """(name, text) of each change of meaning that applies."""
    return _applied(CHANGES, gold)


def _applied(variants: Mapping[str, Variant], gold: str) -> Iterator[tuple[str, str]]:
    for name, variant in variants.items():
        text = variant(gold)
        if text is not None and text != gold:
            yield name, text


def _around(before: str, after: str) -> Variant:
    return lambda gold: f"{before}{gold}{after}"


def _swapped(old: str, new: str, *, unless: str = "\0") -> Variant:
    """Another spelling of a sign or command that the answer holds."""
    pattern = re.compile(old)
    return lambda gold: pattern.sub(new, gold) if pattern.search(gold) and unless not in gold else None


def _if(condition: re.Pattern[str], make: Callable[[re.Match[str]], str | None]) -> Variant:
    def variant(gold: str) -> str | None:
        match = condition.fullmatch(gold.strip())
        return None if match is None else make(match)

    return variant


def _bare(gold: str) -> bool:
    """Whether type faces may go around all of it."""
    return (
        not any(sign in gold for sign in ("$", _ENVIRONMENT, "\\text", "\\mbox", "\\{", "&")) and gold.count("{") <= 2
    )


def _dressed(command: str) -> Variant:
    return lambda gold: f"\\{command}{{{gold}}}" if _bare(gold) else None


def _plain_value(gold: str) -> Fraction | None:
    text = gold.strip()
    if _INTEGER.fullmatch(text) or _DECIMAL.fullmatch(text):
        return Fraction(text)
    match = _FRACTION.fullmatch(text)
    if match is None or not int(match[3]):
        return None
    return Fraction(int(match[1] + match[2]), int(match[3]))


def _long_integer(gold: str) -> bool:
    return _INTEGER.fullmatch(gold.strip()) is not None and len(gold.strip().lstrip("-")) > 3


def _grouped(separator: str) -> Variant:
    return lambda gold: f"{int(gold):,}".replace(",", separator) if _long_integer(gold) else None


def _terminating(gold: str) -> str | None:
    value = _plain_value(gold)
    if value is None or not _FRACTION.fullmatch(gold.strip()) or 10**9 % value.denominator:
        return None
    return f"{float(value):.9f}".rstrip("0")


def _repeating(left: str, right: str) -> Variant:
    def variant(gold: str) -> str | None:
        value = _plain_value(gold)
        if value is None or gcd(value.denominator, 10) > 1 or not 1 < value.denominator < 100:
            return None
        length = next(n for n in range(1, 100) if 10**n % value.denominator == 1)
        if length > 6:
            return None
        whole, rest = divmod(abs(value), 1)
        return f"{'-' if value < 0 else ''}{whole}.{left}{int(rest * (10**length - 1)):0{length}d}{right}"

    return variant


def _expanded(gold: str) -> str | None:
    match = _FRACTION.fullmatch(gold.strip())
    return None if match is None else f"{match[1]}\\frac{{{3 * int(match[2])}}}{{{3 * int(match[3])}}}"


def _as_fraction(gold: str) -> str | None:
    value = _plain_value(gold)
    return (
        f"\\frac{{{value.numerator}}}{{{value.denominator}}}"
        if value is not None and _DECIMAL.fullmatch(gold.strip())
        else None
    )


def _items(gold: str) -> list[str] | None:
    """The items of a bare list that no bracket encloses."""
    items, depth, start = [], 0, 0
    if any(sign in gold for sign in ("$", "=", _ENVIRONMENT, "\\text", "or", "and", "<", ">")) or _THOUSANDS.search(
        gold
    ):
        return None
    for at, sign in enumerate(gold):
        depth += (sign in "([{") - (sign in ")]}")
        if sign == "," and depth == 0:
            items.append(gold[start:at].strip())
            start = at + 1
    items.append(gold[start:].strip())
    return items if len(items) > 1 and len(set(items)) == len(items) and all(items) else None


def _listed(make: Callable[[list[str]], str | None]) -> Variant:
    def variant(gold: str) -> str | None:
        items = _items(gold)
        return None if items is None else make(items)

    return variant


def _coordinates(make: Callable[[str, list[str], str], str | None]) -> Variant:
    def variant(gold: str) -> str | None:
        match = _TUPLE.fullmatch(gold.strip())
        if match is None or "," not in match[2]:
            return None
        return make(match[1], [item.strip() for item in match[2].split(",")], match[3])

    return variant


def _sized(gold: str) -> str | None:
    """Brackets with \\left and \\right."""
    if "\\left" in gold or _TUPLE.fullmatch(gold.strip()) is None:
        return None
    return f"\\left{gold.strip()[:-1]}\\right{gold.strip()[-1]}"


def _spaced(gold: str) -> str | None:
    if "\\text" in gold or "\\mbox" in gold or "$" in gold or _E_NOTATION.fullmatch(gold):
        return None
    return re.sub(r"(?<=[\w)}])\s*([+=<>]|(?<!e)-)\s*(?=[\w(\\])", r" \1 ", gold)


def _is_formula(gold: str) -> bool:
    """Whether something may be added to it."""
    return not any(
        part in gold
        for part in (
            ",",
            "=",
            "\\text",
            "\\mbox",
            "<",
            ">",
            "\\le",
            "\\ge",
            "\\in",
            "\\cup",
            "\\pm",
            "$",
            "_",
            "%",
            "circ",
            "\\begin",
            ":",
            "np.",
            "\\exp{",
            "\\hbar",
        )
    ) and not _words(gold)


def _words(gold: str) -> bool:
    return re.search(r"(?<![A-Za-z\\])[A-Za-z]{3,}", gold) is not None


def _digits_of(first: str) -> Variant:
    return lambda gold: (
        re.sub(r"\d", lambda digit: chr(ord(first) + int(digit[0])), gold)
        if re.fullmatch(r"[-+\d.,()\s]*\d[-+\d.,()\s]*", gold)
        else None
    )


_GREEK = {"alpha": "α", "beta": "β", "theta": "θ", "omega": "ω", "lambda": "λ", "tau": "τ", "sigma": "σ", "pi": "π"}
_UNIT_SPELLINGS = {
    "inches": "in",
    "feet": "ft",
    "square feet": "ft^2",
    "cm": "centimeters",
    "dollars": "dollar",
    "miles": "mi",
    "degrees": "degree",
    "hours": "hour",
    "meters": "m",
    "minutes": "min",
    "square inches": "in^2",
    "seconds": "s",
    "square units": "units^2",
    "miles per hour": "mph",
    "cubic inches": "in^3",
    "years": "year",
    "cents": "cent",
}

REWRITINGS: dict[str, Variant] = {
    "full stop": _around("", "."),
    "full stop of another script": _around("", "。"),
    "comma at the end": _around("", ","),
    "dollars": lambda gold: None if "$" in gold else f"${gold}$",
    "parentheses of LaTeX": lambda gold: None if "$" in gold else f"\\({gold}\\)",
    "brackets of LaTeX": lambda gold: None if "$" in gold else f"\\[{gold}\\]",
    "spaces around": _around("  ", " "),
    "a line of its own": _around("\n", "\n"),
    "a box": _around("\\boxed{", "}"),
    "Markdown bold": _around("**", "**"),
    "display style": _around("\\displaystyle ", ""),
    "thin space": _around("\\,", "\\,"),
    "quad": _around("\\quad ", ""),
    "equals sign": lambda gold: None if "=" in gold else f"= {gold}",
    "bold mathematics": _dressed("mathbf"),
    "bold symbol": _dressed("boldsymbol"),
    "bold text": lambda gold: f"\\textbf{{{gold}}}" if re.fullmatch(r"[-\d.]+", gold) else None,
    "text": lambda gold: f"\\text{{{gold}}}" if re.fullmatch(r"[-\d.]+", gold) else None,
    "parentheses around": lambda gold: f"({gold})" if _is_formula(gold) else None,
    "plus zero": lambda gold: f"{gold} + 0" if _is_formula(gold) else None,
    "zero plus": lambda gold: f"0 + {gold}" if _is_formula(gold) and not gold.strip().startswith(("-", "+")) else None,
    "times one": lambda gold: f"1 \\cdot \\left({gold}\\right)" if _is_formula(gold) else None,
    "display fraction": _swapped(r"\\[t]?frac(?![A-Za-z])", r"\\dfrac"),
    "text fraction": _swapped(r"\\[d]?frac(?![A-Za-z])", r"\\tfrac"),
    "fraction without braces": _swapped(r"\\[dt]?frac\{(\d)\}\{(\d)\}(?![\d{])", r"\\frac\1\2"),
    "fraction with braces": _swapped(r"\\frac *(\d) *(\d)(?![\d{])", r"\\frac{\1}{\2}"),
    "slash": _if(_FRACTION, lambda m: f"{m[1]}{m[2]}/{m[3]}"),
    "expanded fraction": _expanded,
    "fraction as decimal": _terminating,
    "overlined period": _repeating(r"\overline{", "}"),
    "period in parentheses": _repeating("(", ")"),
    "barred period": _repeating(r"\bar{", "}"),
    "decimal as fraction": _as_fraction,
    "zero at the end": lambda gold: f"{gold}0" if _DECIMAL.fullmatch(gold) else None,
    "no zero at the start": lambda gold: gold.replace("0.", ".", 1) if re.fullmatch(r"-?0\.\d+", gold) else None,
    "decimal zero": lambda gold: f"{gold}.0" if _INTEGER.fullmatch(gold) else None,
    "leading zeros": lambda gold: f"00{gold}" if re.fullmatch(r"\d+", gold) else None,
    "plus sign": lambda gold: f"+{gold}" if re.fullmatch(r"[1-9]\d*", gold) else None,
    "thousands with commas": _grouped(","),
    "thousands with braced commas": _grouped("{,}"),
    "thousands with thin spaces": _grouped("\\,"),
    "thousands as in MATH": _grouped(",\\!"),
    "no thousands": _swapped(r"(?<=\d),\\!(?=\d{3})", ""),
    "power of ten": _if(_E_NOTATION, lambda m: f"{m[1]} \\times 10^{{{int(m[2])}}}"),
    "capital e": _if(_E_NOTATION, lambda m: f"{m[1]}E{m[2]}"),
    "power of ten in Unicode": _if(_E_NOTATION, lambda m: f"{m[1]}×10^{int(m[2])}"),
    "minus sign": _swapped("-", "−", unless="e-"),
    "en dash": _swapped("-", "–", unless="e-"),
    "wide digits": _digits_of("０"),
    "Arabic digits": _digits_of("٠"),
    "Devanagari digits": _digits_of("०"),
    "counting word": lambda gold: f"{gold}个" if _INTEGER.fullmatch(gold) else None,
    "root sign": _swapped(r"\\sqrt\{(\d+|[a-z])\}|\\sqrt *(\d)(?!\d)", r"√\1\2"),
    "root without braces": _swapped(r"\\sqrt\{(\d)\}", r"\\sqrt \1"),
    "root with braces": _swapped(r"\\sqrt *(\d)", r"\\sqrt{\1}"),
    "pi": _swapped(r"\\pi(?![A-Za-z]) ?", "π"),
    "Greek letters": lambda gold: re.sub(r"\\(alpha|beta|theta|omega|lambda|tau|sigma|pi)(?![A-Za-z])", lambda m: _GREEK[m[1]], gold) if re.search(r"\\(alpha|beta|theta|omega|lambda|tau|sigma)(?![A-Za-z])", gold) else None,
    "infinity": _swapped(r"\\infty(?![A-Za-z])", "∞"),
    "union": _swapped(r"\\cup(?![A-Za-z])", "∪"),
    "at most": _swapped(r"\\leq?(?![A-Za-z])", "≤"),
    "at least": _swapped(r"\\geq?(?![A-Za-z])", "≥"),
    "plus or minus": _swapped(r"\\pm(?![A-Za-z])", "±"),
    "times": _swapped(r"\\cdot(?![A-Za-z])", r"\\times"),
    "multiplication sign": _swapped(r"\\(?:cdot|times)(?![A-Za-z])", "×"),
    "raised digits": _swapped(r"\^2(?!\d)|\^\{2\}", "²"),
    "scripts in braces": _swapped(r"\^(\d)(?![\d}])", r"^{\1}"),
    "degree sign": _swapped(_DEGREES.pattern, "°"),
    "degrees in words": lambda gold: _DEGREES.sub(" degrees", gold) if re.fullmatch(r"\d+" + _DEGREES.pattern, gold) else None,
    "no degrees": lambda gold: _DEGREES.sub("", gold) if re.fullmatch(r"\d+" + _DEGREES.pattern, gold) else None,
    "sized brackets": _sized,
    "brackets of no size": _swapped(r"\\left(?=[(\[])|\\right(?=[)\]])", ""),
    "spaces around signs": _spaced,
    "words without a type face": _if(_WORD, lambda m: m[1]),
    "words in a box of text": _if(_WORD, lambda m: f"\\mbox{{{m[1]}}}"),
    "bold words": _if(_WORD, lambda m: f"\\textbf{{{m[1]}}}"),
    "capital words": _if(_WORD, lambda m: f"\\text{{{m[1].capitalize()}}}"),
    "option without parentheses": _if(_OPTION, lambda m: m[1] or m[2]),
    "option in parentheses": _if(_OPTION, lambda m: f"({m[1] or m[2]})"),
    "bold option": _if(_OPTION, lambda m: f"\\textbf{{({m[1] or m[2]})}}"),
    "option with its text": _if(_OPTION, lambda m: f"{m[1] or m[2]}: the one above"),
    "option with a full stop and a value": _if(_OPTION, lambda m: f"({m[1] or m[2]}) 12"),
    "no unit": _if(_UNIT, lambda m: m[1]),
    "unit in a box of text": _if(_UNIT, lambda m: f"{m[1]}\\mbox{{ {m[2]}}}{m[3] or ''}"),
    "unit in Roman type": _if(_UNIT, lambda m: f"{m[1]}\\,\\mathrm{{{m[2]}}}{m[3] or ''}" if " " not in m[2] else None),
    "unit without a type face": _if(_UNIT, lambda m: f"{m[1]} {m[2]}" if not m[3] and len(m[2]) > 2 and m[1][-1].isdigit() else None),
    "unit in another spelling": _if(_UNIT, lambda m: f"{m[1]}\\text{{ {_UNIT_SPELLINGS[m[2].strip()]}}}" if not m[3] and m[2].strip() in _UNIT_SPELLINGS else None),
    "no currency sign": _swapped(r"^\\\$", ""),
    "dollars in words": lambda gold: f"{gold[2:]} dollars" if re.fullmatch(r"\\\$\d+", gold) else None,
    "no percent sign": lambda gold: re.sub(r"\s*\\?%", "", gold) if re.fullmatch(r"[\d.]+\s*\\?%", gold) else None,
    "percent in words": lambda gold: re.sub(r"\s*\\?%", " percent", gold) if re.fullmatch(r"[\d.]+\s*\\?%", gold) else None,
    "base in braces": _if(_BASED, lambda m: f"{m[1]}_{{{m[2]}}}"),
    "base in words": _if(_BASED, lambda m: f"{m[1]}\\text{{ (base {m[2]})}}"),
    "list backwards": _listed(lambda items: ", ".join(items[::-1])),
    "list without spaces": _listed(",".join),
    "list with and": _listed(lambda items: f"{', '.join(items[:-1])} \\text{{ and }} {items[-1]}"),
    "list with or": _listed(lambda items: f"{', '.join(items[:-1])} or {items[-1]}"),
    "list in braces": _listed(lambda items: f"\\{{{', '.join(items)}\\}}"),
    "coordinates with spaces": _coordinates(lambda left, items, right: f"{left} {' , '.join(items)} {right}"),
    "matrix in brackets": _swapped(r"\{pmatrix\}", "{bmatrix}"),
    "matrix without spaces": lambda gold: re.sub(r" *(&|\\\\) *", r"\1", gold) if _ENVIRONMENT in gold else None,
    "name on the left": lambda gold: f"x = {gold}" if _INTEGER.fullmatch(gold) else None,
    "no name on the left": lambda gold: gold.partition("=")[2] if re.fullmatch(r"[a-z]\s*=[^=,]+", gold) and not re.search(r"\d[a-z]|\(", gold.partition("=")[0]) else None,
}  # fmt: skip


def _number_changed(change: Callable[[Fraction], Fraction]) -> Variant:
    def variant(gold: str) -> str | None:
        value = _plain_value(gold)
        if value is None or change(value) == value:
            return None
        new = change(value)
        return str(new) if new.denominator == 1 else f"\\frac{{{new.numerator}}}{{{new.denominator}}}"

    return variant


def _digit_changed(index: int, by: int) -> Variant:
    """One digit of the answer other than before; digits of LaTeX lengths do not occur in gold answers."""

    def variant(gold: str) -> str | None:
        places = [match.start() for match in re.finditer(r"\d", gold)]
        if len(places) < abs(index + (index >= 0 and 1)) or not places or _trivial_digit(gold, places[index]):
            return None
        at = places[index]
        return f"{gold[:at]}{(int(gold[at]) + by) % 10}{gold[at + 1 :]}"

    return variant


def _trivial_digit(gold: str, at: int) -> bool:
    """Whether a digit may not matter: of a unit's power, next to a zero factor, or in a formula without a value."""
    return ("0" in (gold[at - 1 : at], gold[at]) and len(gold) > 2 and not _INTEGER.fullmatch(gold)) or "$" in gold


def _replaced(old: str, new: str, *, count: int = 1) -> Variant:
    pattern = re.compile(old)
    return lambda gold: pattern.sub(new, gold, count=count) if pattern.search(gold) else None


def _fragment(index: int) -> Variant:
    """One number of a formula of several."""

    def variant(gold: str) -> str | None:
        numbers = re.findall(r"\d+(?:\.\d+)?", gold)
        if (
            len(numbers) < 2
            or _plain_value(gold) is not None
            or not re.search(r"[+,=]|\\begin|\\frac|\\sqrt|(?<!e)-", gold)
        ):
            return None
        return (
            None
            if len(set(numbers)) == 1
            or _DEGREES.search(gold)
            or "_" in gold
            or "\\$" in gold
            or _THOUSANDS.search(gold)
            or re.search(r"\\text|\\mbox", gold)
            or re.fullmatch(r"[a-z(). ]+=\s*-?\d+", gold)
            else numbers[index]
        )

    return variant


def _formula_changed(form: str) -> Variant:
    return lambda gold: (
        form.replace("?", gold) if _is_formula(gold) and gold.strip() != "0" and "\\infty" not in gold else None
    )


CHANGES: dict[str, Variant] = {
    "one more": _number_changed(lambda x: x + 1),
    "one less": _number_changed(lambda x: x - 1),
    "negative": _number_changed(lambda x: -x),
    "tenfold": _number_changed(lambda x: 10 * x),
    "a tenth": _number_changed(lambda x: x / 10),
    "double": _number_changed(lambda x: 2 * x),
    "half": _number_changed(lambda x: x / 2),
    "reciprocal": _number_changed(lambda x: 1 / x if x else x),
    "a millionth more": _number_changed(lambda x: x + Fraction(1, 10**6)),
    "a billionth more": _number_changed(lambda x: x + Fraction(1, 10**9)),
    "a billionth larger": _number_changed(lambda x: x * (1 + Fraction(1, 10**9))),
    "square": _number_changed(lambda x: x * x if abs(x) < 10**6 else x),
    "whole part": _number_changed(lambda x: Fraction(int(x))),
    "rounded to two digits": lambda gold: f"{float(v):.2f}" if (v := _plain_value(gold)) is not None and v.denominator > 1 and 10**2 % v.denominator and abs(v) < 10**4 and not _DECIMAL.fullmatch(gold.strip()) else None,
    **{f"digit {index + 1} higher": _digit_changed(index, 1) for index in range(6)},
    **{f"digit {index + 1} lower": _digit_changed(index, -1) for index in range(6)},
    "last digit higher": _digit_changed(-1, 1),
    "a digit more": lambda gold: f"{gold}1" if re.fullmatch(r"-?\d*\.?\d+", gold) else None,
    "a digit before": lambda gold: f"1{gold}" if re.fullmatch(r"\d*\.?\d+", gold) else None,
    "digits backwards": lambda gold: gold[::-1] if re.fullmatch(r"\d+", gold) and int(gold) != int(gold[::-1]) else None,
    "decimal point": lambda gold: f"{gold[0]}.{gold[1:]}" if re.fullmatch(r"[1-9]\d+", gold) else None,
    "fraction upside down": _if(_FRACTION, lambda m: f"{m[1]}\\frac{{{m[3]}}}{{{m[2]}}}" if m[2] != m[3] and int(m[2]) else None),
    "mixed number": _if(_FRACTION, lambda m: f"1{m[0]}" if not m[1] and int(m[2]) else None),
    "another power of ten": _if(_E_NOTATION, lambda m: f"{m[1]}e{int(m[2]) + 1}"),
    "the inverse power of ten": _if(_E_NOTATION, lambda m: f"{m[1]}e{-int(m[2])}" if int(m[2]) else None),
    "no power of ten": _if(_E_NOTATION, lambda m: m[1] if int(m[2]) else None),
    "Euler's number": _if(_E_NOTATION, lambda m: f"{m[1]}e + {m[2].lstrip('+')}" if not m[2].startswith("-") else None),
    "plus one": _formula_changed("? + 1"),
    "twice": _formula_changed("2\\left(?\\right)"),
    "negated": _formula_changed("-\\left(?\\right)"),
    "another sign": lambda gold: re.sub(r"(?<=[\w})])\s*\+\s*(?=[\w\\(])", "-", gold, count=1) if re.search(r"(?<=[\w})])\s*\+\s*(?=[\w\\(])", gold) and "$" not in gold and "infty" not in gold else None,
    "another root": lambda gold: gold.replace("\\sqrt{", "\\sqrt[3]{", 1) if re.search(r"\\sqrt\{(?!1\}|0\})", gold) and "\\pm" not in gold else None,
    "no root": lambda gold: re.sub(r"\\sqrt\{(\d+)\}", r"\\cdot \1", gold, count=1).removeprefix("\\cdot ") if re.search(r"[\d}]\s*\\sqrt\{\d\d*\}", gold) or re.fullmatch(r"\\sqrt\{\d+\}", gold) else None,
    "no pi": lambda gold: re.sub(r"(?<=\d)\s*\\pi(?![A-Za-z])", "", gold, count=1) if re.search(r"\d\s*\\pi(?![A-Za-z])", gold) else None,
    "another variable": lambda gold: re.sub(r"(?<![A-Za-z\\{])x(?![A-Za-z])", "q", gold) if re.search(r"(?<![A-Za-z\\{])x(?![A-Za-z])", gold) and re.search(r"\dx|x\^|x [+-]|[+-] ?x|\(x", gold) and not re.match(r"\s*x\s*(=|\\in)", gold) and "<" not in gold and ">" not in gold and "\\le" not in gold and "\\ge" not in gold and "$" not in gold and "f(x)" not in gold else None,
    "another function": lambda gold: gold.replace("\\sin", "\\cos") if "\\sin" in gold and "\\cos" not in gold else None,
    "another power": lambda gold: re.sub(r"([a-z])\^(\d)(?!\d)", lambda m: f"{m[1]}^{int(m[2]) + 1}", gold, count=1) if re.search(r"[a-z]\^\d(?!\d)", gold) else None,
    "an item less": _listed(lambda items: ", ".join(items[:-1])),
    "an item more": _listed(lambda items: ", ".join([*items, "987654"])),
    "another item": _listed(lambda items: ", ".join([*items[:-1], "987654"])),
    "first item only": _listed(lambda items: items[0]),
    "an item beside": lambda gold: f"{gold}, 987654" if _INTEGER.fullmatch(gold) else None,
    "coordinates swapped": _coordinates(lambda left, items, right: f"{left}{','.join(items[::-1])}{right}" if items != items[::-1] and len(items) > 1 else None),
    "a coordinate more": _coordinates(lambda left, items, right: f"({','.join([*items, '7'])})" if left == "(" and right == ")" else None),
    "a coordinate less": _coordinates(lambda left, items, right: f"({','.join(items[:-1])})"),
    "another left bracket": _coordinates(lambda left, items, right: f"{'[' if left == '(' else '('}{','.join(items)}{right}" if len(items) == 2 else None),
    "another right bracket": _coordinates(lambda left, items, right: f"{left}{','.join(items)}{']' if right == ')' else ')'}" if len(items) == 2 else None),
    "an open bracket": lambda gold: gold.strip()[:-1] if gold.strip().startswith("(") and gold.strip().endswith(")") and "," in gold and gold.count("(") == 1 else None,
    "another word": _if(_WORD, lambda m: f"\\text{{{m[1]}x}}" if not m[1].strip().lower().endswith("x") else None),
    "the word backwards": _if(_WORD, lambda m: f"\\text{{{m[1][::-1]}}}" if m[1].lower() != m[1][::-1].lower() else None),
    "the letters as a product": _if(_WORD, lambda m: " \\cdot ".join(m[1].replace(" ", "")) if len(m[1]) < 9 else None),
    "the next option": _if(_OPTION, lambda m: f"\\text{{({chr(ord(m[1] or m[2]) + 1)})}}"),
    "another option with the text": _if(_OPTION, lambda m: f"{chr(ord(m[1] or m[2]) + 1)}: the one above"),
    "another unit": _if(_UNIT, lambda m: f"{m[1]}\\text{{ parsecs}}{m[3] or ''}"),
    "a unit squared": _if(_UNIT, lambda m: f"{m[1]}\\text{{ {m[2].strip()}}}^4"),
    "another base": _if(_BASED, lambda m: f"{m[1]}_{{{int(m[2]) + 1}}}"),
    "the value in base ten": _if(_BASED, lambda m: str(int(m[1], int(m[2]))) if max(m[1]) < m[2] and int(m[2]) < 10 else None),
    "no base": _if(_BASED, lambda m: m[1]),
    "another matrix entry": lambda gold: re.sub(r"-?\d+(?=\s*(?:&|\\\\|\\end))", "987", gold, count=1) if _ENVIRONMENT in gold and re.search(r"(?:&|matrix\}|\\\\)\s*-?\d+\s*(?:&|\\\\|\\end)", gold) else None,
    "the first number alone": _fragment(0),
    "the last number alone": _fragment(-1),
    "nothing": lambda gold: "",
    "no solution": lambda gold: "\\text{no solution}" if "solution" not in gold else None,
    "another name": lambda gold: f"q = {gold.partition('=')[2]}" if re.fullmatch(r"[a-pr-z]\s*=[^=,]+", gold) else None,
    "two answers in one": lambda gold: f"{gold} \\text{{ or }} 987654" if _INTEGER.fullmatch(gold) else None,
}  # fmt: skip
