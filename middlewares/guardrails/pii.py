"""Personal data that can be told by its form: with check digits where there are some."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address
from string import ascii_letters, digits
from typing import Literal, get_args

from .span import Detector

PIIKind = Literal["email", "phone", "credit_card", "iban", "us_ssn", "ip_address"]

PII_KINDS: tuple[PIIKind, ...] = get_args(PIIKind)

_IBAN_LENGTHS = {
    entry[:2]: int(entry[2:])
    for entry in (  # noqa: SIM905 - a table reads better as one
        "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 ES24 FI18 "
        "FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 "
        "LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 "
        "SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30"
    ).split()
}
"""Characters of an IBAN by country. Source: IBAN registry, https://www.swift.com/standards/data-standards/iban-international-bank-account-number"""


def luhn(number: str) -> bool:
    """Whether the last digit is the right check digit. Source: ISO/IEC 7812-1, annex B."""
    total = 0
    for place, digit in enumerate(reversed(number)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 * (value > 9)
    return total % 10 == 0


def iban_is_valid(iban: str) -> bool:
    """Whether the length is the country's and the check digits are right. `iban` is upper case, without spaces. Source: ISO 13616-1."""
    if _IBAN_LENGTHS.get(iban[:2]) != len(iban):
        return False
    return int("".join(str(int(char, 36)) for char in iban[4:] + iban[:4])) % 97 == 1


def _card(match: re.Match[str]) -> tuple[int, int] | None:
    """The longest run of whole groups that is a card's number: other numbers may stand right behind it."""
    text, start = match.string, match.start()
    for end in range(match.end(), start + 12, -1):
        if not text[end - 1].isdigit() or text[end : end + 1].isalnum():
            continue
        if _is_card(re.sub(r"[ -]", "", text[start:end])):
            return start, end
    return None


_CARD_LENGTHS = ((re.compile("4"), (13, 16, 19)), (re.compile("3[47]"), (15,)), (re.compile("5[1-5]|2[2-7]"), (16,)),
                 (re.compile("3(?:0[0-5]|[689])"), (14,)), (re.compile("35|6(?:011|4|5)"), (16,)), (re.compile("62"), (16, 17, 18, 19)))  # fmt: skip
"""Leading digits and lengths in use. Source: ISO/IEC 7812 ranges as listed at https://en.wikipedia.org/wiki/Payment_card_number"""


def _is_card(number: str) -> bool:
    return any(begin.match(number) and len(number) in lengths for begin, lengths in _CARD_LENGTHS) and luhn(number)


def _iban(match: re.Match[str]) -> tuple[int, int] | None:
    text, start = match.string, match.start()
    left = _IBAN_LENGTHS.get(text[start : start + 2].upper(), 0)
    for end in range(start, match.end() + 1):
        if left == 0:
            whole = text[start:end].replace(" ", "").upper()
            return (start, end) if whole and not text[end : end + 1].isalnum() and iban_is_valid(whole) else None
        left -= text[end : end + 1] != " "
    return None


def _ipv6(match: re.Match[str]) -> tuple[int, int] | None:
    found = match.group()
    if found.endswith(":") and not found.endswith("::"):
        found = found[:-1]
    if found.count(":") < 2 or not any(char.isdigit() for char in found):
        return None
    try:
        IPv6Address(found)
    except AddressValueError:
        return None
    return match.start(), match.start() + len(found)


_DIGITS = frozenset(digits)

_NUMBER = re.compile(r"[0-9](?:(?:[ ().-]{0,2}[0-9]){4}|\.[0-9]{1,3}\.[0-9]|(?<=[A-Za-z]{2}[0-9])[0-9])")
"""Five digits near each other, three of an address, or two behind two letters: prose has other numbers."""

ALNUM = frozenset(ascii_letters + digits)

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])"


def _detector(label: str, pattern: str, opening: str, **more: object) -> Detector:
    return Detector(label, re.compile(pattern), re.compile(opening), signed=True, **more)  # type: ignore[arg-type]  # fields of Detector, checked there


DETECTORS: dict[PIIKind, tuple[Detector, ...]] = {
    "email": (
        _detector(
            "email",
            r"[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9])",
            r"[A-Za-z0-9._%+-]{1,64}+(?:@[A-Za-z0-9.-]{0,540}+)?+\Z",
            shortest=6,
            ends=ALNUM | set("._%+-@"),
            trace=re.compile("@"),
        ),
    ),
    "phone": (
        # International, with its plus; and North American, where area code and exchange never begin with 0 or 1
        # (https://www.nanpa.com/numbering). Other national forms cannot be told from other numbers without their country.
        _detector(
            "phone",
            r"(?<![\w+])\+[0-9](?:[ ().-]{0,2}[0-9]){7,14}(?![0-9])"
            r"|(?<![\w.-])(?:1[ .-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .-])[2-9][0-9]{2}[ .-][0-9]{4}(?![\w-]|\.[0-9])",
            r"(?:(?<![\w+])\+(?:[0-9](?:[ ().-]{0,2}[0-9]){0,14}[ ().-]{0,2})?|(?<![\w.-])[(0-9][0-9 ().-]{0,18})\Z",
            margin=3,
            shortest=9,
            trace=_NUMBER,
            ends=_DIGITS | set("+ ().-"),
        ),
    ),
    "credit_card": (
        _detector(
            "credit_card",
            r"[2-6](?<![A-Za-z0-9].)(?:[ -]?[0-9]){12,18}",
            r"(?<![A-Za-z0-9])[2-6](?:[ -]?[0-9]){0,18}[ -]?\Z",
            margin=2,
            shortest=13,
            trace=_NUMBER,
            ends=_DIGITS | set(" -"),
            validate=_card,
        ),
    ),
    "iban": (
        _detector(
            "iban",
            r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}(?: ?[A-Za-z0-9]){11,30}",
            r"(?<![A-Za-z0-9])[A-Za-z](?:[A-Za-z](?:[0-9](?:[0-9](?: ?[A-Za-z0-9]){0,30} ?)?)?)?\Z",
            margin=2,
            shortest=15,
            trace=_NUMBER,
            ends=ALNUM | {" "},
            validate=_iban,
        ),
    ),
    "us_ssn": (
        # Never issued: area 000, 666 and 900-999, group 00, serial 0000. Source: https://www.ssa.gov/employer/randomization.html
        _detector(
            "us_ssn",
            r"[0-8](?<![\w-].)[0-9]{2}(?<!000)(?<!666)([- ])(?!00)[0-9]{2}\1(?!0000)[0-9]{4}(?![\w-])",
            r"(?<![\w-])[0-9][0-9 -]{0,11}\Z",
            shortest=11,
            trace=_NUMBER,
            ends=_DIGITS | set(" -"),
        ),
    ),
    "ip_address": (
        _detector(
            "ip_address",
            rf"[0-9](?<![\w.].)(?:(?<=1)[0-9]{{0,2}}|(?<=2)(?:5[0-5]|[0-4]?[0-9])?|[0-9]?)(?:\.{_OCTET}){{3}}(?!\w|\.\w)",
            r"(?<![\w.])[0-9][0-9.]{0,16}\Z",
            margin=2,
            shortest=7,
            trace=_NUMBER,
            ends=_DIGITS | {"."},
        ),
        _detector(
            "ip_address",
            r"(?<![\w:.])[0-9A-Fa-f:]{2,39}(?![\w:])",
            r"(?<![\w:.])[0-9A-Fa-f:]{1,40}+\Z",
            shortest=3,
            ends=_DIGITS | set("abcdefABCDEF:"),
            trace=re.compile(":[0-9A-Fa-f:]"),
            validate=_ipv6,
        ),
    ),
}
"""Patterns say what must not stand before a match behind its first character: Python then skips faster to the next candidate."""
