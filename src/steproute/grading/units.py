"""Units and counting words behind a number, and numbers in other bases."""

import re
from typing import Final

_UNITS: Final = {
    "mm": "millimeters millimetres millimeter millimetre",
    "cm": "centimeters centimetres centimeter centimetre",
    "m": "meters metres meter metre",
    "km": "kilometers kilometres kilometer kilometre",
    "in": "inches inch",
    "ft": "feet foot",
    "yd": "yards yard",
    "mi": "miles mile",
    "mg": "milligrams milligram",
    "g": "grams gram gm",
    "kg": "kilograms kilogram",
    "lb": "pounds pound lbs",
    "oz": "ounces ounce",
    "ml": "milliliters millilitres milliliter millilitre",
    "l": "liters litres liter litre",
    "gal": "gallons gallon",
    "s": "seconds second sec secs",
    "min": "minutes minute mins",
    "h": "hours hour hr hrs",
    "day": "days",
    "week": "weeks",
    "month": "months",
    "year": "years yr yrs",
    "mph": "miles/hour mi/h",
    "dollar": "dollars usd bucks",
    "cent": "cents",
    "deg": "degrees degree °",
    "%": "percent pct percentage",
    "unit": "units",
    "person": "people persons",
    "child": "children",
    "hz": "hertz",
    "j": "joules joule",
    "n": "newtons newton",
    "w": "watts watt",
    "v": "volts volt",
    "k": "kelvin kelvins",
    "ha": "hectares hectare",
    "amp": "amperes ampere amps",
    "ohm": "ohms",
    "pa": "pascals pascal",
    "ev": "electronvolts",
    "erg": "ergs",
    "mol": "moles mole",
    "€": "euro euros",
    "£": "",
}
_SYNONYMS: Final = {word: unit for unit, words in _UNITS.items() for word in words.split()}
_ABBREVIATIONS: Final = frozenset(
    [
        "mm",
        "cm",
        "km",
        "ft",
        "mi",
        "mg",
        "kg",
        "lb",
        "lbs",
        "oz",
        "ml",
        "hr",
        "hrs",
        "mph",
        "yd",
        "usd",
        "gal",
        "sq",
        "am",
        "pm",
    ]
)
_VALUE: Final = r"(.*(?:[\d)}|!]|\\pi|\\infty|\\%)\s*(?:\.(?=\s))?)"
_MARKED: Final = re.compile(rf"{_VALUE}\s*\\text\{{([^{{}}]*)\}}\s*(?:\^\{{(\d)\}})?", re.DOTALL)
_BARE: Final = re.compile(r"([^A-Za-z]*[\d)}])(\s*)((?:[A-Za-z]+\.?(?:\^\{\d\})?(?:\s+|\s*/\s*|$))+)", re.DOTALL)
_SIGN: Final = re.compile(r"(.*[^\s])\s*(\\%|\^\{\\circ\})\s*(?:\s*[CF])?", re.DOTALL)
_COUNTER: Final = re.compile(r"(.*[\d)}])\s*([^\x00-\x7f]{1,4})", re.DOTALL)
_SQUARE: Final = re.compile(r"\b(square|sq\.?|cubic|cu\.?)\s*([a-z]+)")
_BASED: Final = re.compile(
    r"([+-]?[0-9A-Za-z.]*\d[0-9A-Za-z.]*|[+-]?[A-F]{2,})\s*(?:_\{\s*\(?(?:\\text\{)?(?:base)?\s*\}?(\d+|[a-z]+)\}?\)?\s*\}|"
    r"\(?(?:\\text\{)?\(?(?:in )?base[- ]*\}?\s*(\d+|[a-z]+)\)?\}?\)?)"
)
_LETTERED: Final = re.compile(r"[+-]?[A-Fa-f\d.]+|[+-]?\d[\d.]*")
_BASE_WORDS: Final = {
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
    "ten": "10",
    "eleven": "11",
    "twelve": "12",
    "sixteen": "16",
}
_NUMBER_WORDS: Final = {
    word: str(number)
    for number, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
            "twenty",
        ]
    )
} | {
    "thirty": "30",
    "forty": "40",
    "fifty": "50",
    "sixty": "60",
    "seventy": "70",
    "eighty": "80",
    "ninety": "90",
    "hundred": "100",
}


def without_unit(text: str) -> tuple[str, str]:
    """(value, unit in one spelling) of an answer in normal form; the unit is empty if there is none."""
    for pattern in (_SIGN, _COUNTER):
        if (match := pattern.fullmatch(text)) is not None:
            return match[1].strip(), one_spelling(match[2])
    if (match := _MARKED.fullmatch(text)) is not None:
        return match[1].strip().rstrip("."), one_spelling(match[2] + (f"^{match[3]}" if match[3] else ""))
    if (match := _BARE.fullmatch(text)) is not None and _is_unit(match[3].strip(), bool(match[2])):
        return match[1].strip(), one_spelling(match[3])
    return text, ""


def one_spelling(unit: str) -> str:
    """A unit's usual abbreviation: `square feet`, `sq. ft.` and `ft²` are `ft^2`."""
    unit = unit.lower().replace("\\%", "%").replace("^{\\circ}", "°").replace("{", "").replace("}", "").strip(" .")
    unit = re.sub(r"\s*\bper\b\s*|\s*/\s*", "/", unit)
    unit = _SQUARE.sub(lambda match: f"{match[2]}^{'2' if match[1].startswith('s') else '3'}", unit)
    unit = re.sub(
        r"([a-z])\s*(?:\^?([23])|squared|cubed)\b",
        lambda m: m[1] + "^" + (m[2] or ("2" if "sq" in m[0] else "3")),
        unit,
    )
    unit = re.sub(r"[a-z°]+", lambda word: _singular(word[0]), unit.replace(".", "").replace(" ", ""))
    return _SYNONYMS.get(unit, unit)


def in_base(text: str) -> tuple[str, str] | None:
    """(digits, base) of a number with its base, as `1011_{2}` or `1011 (base two)`; None for any other text."""
    if (match := _BASED.fullmatch(text)) is None:
        return None
    base = match[2] or match[3]
    base = _BASE_WORDS.get(base, base)
    if not base.isdigit() or not _LETTERED.fullmatch(match[1]):
        return None
    return re.sub(r"^([+-]?)0+(?=[0-9A-Z])", r"\1", match[1].upper()), base.lstrip("0")


def number_word(text: str) -> str | None:
    """The digits of a number in words, up to twenty and the tens; None for any other text."""
    return _NUMBER_WORDS.get(text.lower())


def _singular(word: str) -> str:
    if word in _SYNONYMS:
        return _SYNONYMS[word]
    return word.removesuffix("s") if len(word) > 3 and not word.endswith("ss") else word


def _is_unit(words: str, apart: bool) -> bool:
    """Whether bare letters behind a number are a unit or counted things, and not variables."""
    first = re.split(r"[\s/^.]", words)[0].lower()
    if first in _ABBREVIATIONS or first in _SYNONYMS or (first in _UNITS and len(first) > 2):
        return True
    return apart and len(first) > 3 and any(vowel in first for vowel in "aeiouy")
