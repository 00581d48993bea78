"""Signs that stand for mathematics outside ASCII, and the LaTeX that says the same."""

import re
import unicodedata
from typing import Final

_GREEK: Final = dict(
    zip(
        "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩϕϵ",
        [
            "alpha",
            "beta",
            "gamma",
            "delta",
            "epsilon",
            "zeta",
            "eta",
            "theta",
            "iota",
            "kappa",
            "lambda",
            "mu",
            "nu",
            "xi",
            "pi",
            "rho",
            "sigma",
            "tau",
            "upsilon",
            "phi",
            "chi",
            "psi",
            "omega",
            "Gamma",
            "Delta",
            "Theta",
            "Lambda",
            "Xi",
            "Pi",
            "Sigma",
            "Phi",
            "Psi",
            "Omega",
            "phi",
            "epsilon",
        ],
        strict=True,
    )
)
_SIGNS: Final = {
    **dict.fromkeys("−–—‒―‐‑﹣－➖", "-"),
    **dict.fromkeys("×✕✖⨯", r"\cdot "),
    **dict.fromkeys("·⋅∙•‧", r"\cdot "),
    **dict.fromkeys("÷∕⁄", "/"),
    **dict.fromkeys("°˚º", r"^{\circ}"),
    **dict.fromkeys("。．｡۔।։።", ". "),
    **dict.fromkeys("，、،﹐፣", ", "),
    **dict.fromkeys("；؛", "; "),
    **dict.fromkeys("：∶", ":"),
    **dict.fromkeys("％٪﹪", r"\%"),
    **dict.fromkeys("≤⩽≦", r"\le "),
    **dict.fromkeys("≥⩾≧", r"\ge "),
    **dict.fromkeys("′’‘`´", "'"),
    **dict.fromkeys("“”″", '"'),
    **dict.fromkeys("…⋯", r"\dots "),
    **dict.fromkeys("≈≃≅", r"\approx "),
    **dict.fromkeys("∅", r"\emptyset "),
    **dict.fromkeys("⟨〈", r"\langle "),
    **dict.fromkeys("⟩〉", r"\rangle "),
    **dict.fromkeys("∖", r"\setminus "),
    "٫": ".",
    "٬": "{,}",
    "≠": r"\ne ",
    "±": r"\pm ",
    "∓": r"\mp ",
    "∪": r"\cup ",
    "∩": r"\cap ",
    "∈": r"\in ",
    "∞": r"\infty ",
    "→": r"\to ",
    "∑": r"\sum ",
    "∫": r"\int ",
    "∠": r"\angle ",
    "ℝ": "R",
    "ℤ": "Z",
    "⌊": r"\lfloor ",
    "⌋": r"\rfloor ",
    "⌈": r"\lceil ",
    "⌉": r"\rceil ",
    "∧": r"\wedge ",
    "∨": r"\vee ",
    "√": r"\sqrt ",
    "∛": r"\sqrt[3] ",
    "∜": r"\sqrt[4] ",
}
_TABLE: Final = str.maketrans(_SIGNS | {letter: f"\\{name} " for letter, name in _GREEK.items()})
_RAISED: Final = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿⁱ", "0123456789+-()ni", strict=True))
_LOWERED: Final = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₙ", "0123456789+-()n", strict=True))
_RAISED_RUN: Final = re.compile(f"[{''.join(_RAISED)}]+")
_LOWERED_RUN: Final = re.compile(f"[{''.join(_LOWERED)}]+")
_ROOT: Final = re.compile(r"([√∛∜])\s*(\d+(?:\.\d+)?|[^\W\d_])")
_FULL_STOP_BETWEEN_DIGITS: Final = re.compile(r"(?<=\d)．(?=\d)")
_INVISIBLE: Final = frozenset({"Cf", "Cc", "Cs"})
_OVERLINED: Final = re.compile("((?:\\d[\u0304\u0305])+)")
_DOTTED: Final = re.compile("(\\d)[\u0307]")
_MEASURED: Final = re.compile(r"(?<=\d)\s*([㎜-㎤])")


def in_ascii(text: str) -> str:
    """`text` with digits of every script as 0 to 9, and each sign of mathematics as ASCII or LaTeX."""
    text = _OVERLINED.sub(lambda run: rf"\overline{{{re.sub(r'[^0-9]', '', run[1])}}}", text)
    text = _DOTTED.sub(r"\\dot{\1}", text)
    text = _FULL_STOP_BETWEEN_DIGITS.sub(".", text)
    text = _MEASURED.sub(lambda sign: rf"\text{{ {_compatible(sign[1])}}}", text)
    text = _ROOT.sub(lambda root: f"{root[1]}{{{root[2]}}}", text)
    text = _RAISED_RUN.sub(lambda run: f"^{{{''.join(_RAISED[each] for each in run[0])}}}", text)
    text = _LOWERED_RUN.sub(lambda run: f"_{{{''.join(_LOWERED[each] for each in run[0])}}}", text)
    text = text.translate(_TABLE)
    return "".join(_plain(sign) for sign in text)


def _compatible(sign: str) -> str:
    return _RAISED_RUN.sub(lambda run: f"^{_RAISED[run[0]]}", unicodedata.normalize("NFKC", sign))


def _plain(sign: str) -> str:
    if sign.isascii():
        return sign if sign.isprintable() else " "
    category = unicodedata.category(sign)
    if category in _INVISIBLE:
        return ""
    if category == "Nd":
        return str(unicodedata.decimal(sign))
    if category == "No" and "⁄" in (spelled := unicodedata.normalize("NFKC", sign)):
        above, below = spelled.split("⁄")
        return rf"\frac{{{above}}}{{{below}}}" if below else sign
    spelled = unicodedata.normalize("NFKC", sign)
    return spelled if len(spelled) == 1 or spelled.isascii() else sign
