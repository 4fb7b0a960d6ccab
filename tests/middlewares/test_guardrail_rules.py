"""What each rule finds and what it leaves alone, in whole texts and in texts that arrive in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glassway.middlewares.guardrails import (
    PII,
    DenyList,
    GuardRule,
    JSONSchema,
    MaxLength,
    Regex,
    Secrets,
    credentials,
    from_name,
    pii,
)
from glassway.middlewares.guardrails.chunks import Screen
from glassway.middlewares.guardrails.judge import Armed, Bench
from glassway.middlewares.guardrails.span import Detector, find, merged, replaced
from glassway.middlewares.guardrails.tally import Tally
from glassway.middlewares.guardrails.window import Window
from glassway.pipeline.call import Call
from glassway.pipeline.errors import ConfigError
from glassway.pipeline.types import ChatChunk, ChatRequest, ChoiceDelta, Delta

CARD = "4111 1111 1111 1111"
IBAN = "GB82 WEST 1234 5698 7654 32"
PEM = (
    "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIEpAIBAAKCAQEA75\nx+/=\n-----END RSA PRIVATE KEY-----"
)
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"


def redacted(rule: GuardRule, text: str) -> str:
    return replaced(text, merged(find(rule.scanners(256), text)))


FOUND = [
    ("email", "ann.b+c@mail.example.co.uk"),
    ("phone", "+1 (415) 555-2671"),
    ("phone", "+49 30 901820"),
    ("phone", "(415) 555-2671"),
    ("phone", "415-555-2671"),
    ("credit_card", CARD),
    ("credit_card", "5555-5555-5555-4444"),
    ("credit_card", "378282246310005"),
    ("credit_card", "6011000990139424"),
    ("iban", IBAN),
    ("iban", "DE89370400440532013000"),
    ("iban", "fr14 2004 1010 0505 0001 3m02 606"),
    ("us_ssn", "123-45-6789"),
    ("us_ssn", "123 45 6789"),
    ("ip_address", "192.168.10.254"),
    ("ip_address", "2001:db8::ff00:42:8329"),
]


@pytest.mark.parametrize(("kind", "value"), FOUND)
@pytest.mark.parametrize(
    "around", ["{}", "it is {}.", "({})", '{{"a": "{}"}}', "x {} and 12 more", "é{}é\n", "<{}>", "see {}, {}"]
)
def test_personal_data_is_found(kind: str, value: str, around: str) -> None:
    if around == "é{}é\n" and kind != "email":
        around = "é {} é\n"
    text = around.format(*[value] * around.count("{}"))
    assert redacted(PII(), text) == around.format(*[f"[REDACTED:{kind}]"] * around.count("{}"))


LEFT_ALONE = [
    "4111 1111 1111 1112",  # the check digit
    "1234 5678 9012 3452",  # no issuer begins with 1
    "GB82 WEST 1234 5698 7654 33",  # the check digits
    "GB82 WEST 1234 5698 7654",  # too short
    "XX82 WEST 1234 5698 7654 32",  # no such country
    "000-12-3456",
    "666-12-3456",
    "900-12-3456",
    "123-00-4567",
    "123-45-0000",
    "256.1.1.1",
    "1.2.3",
    "12:30:45",
    "std::vector",
    "2024-11-21 03:16",
    "order 20241121-1234",
    "@nobody, a@b, 3+4=7, 1,000,000",
    "550e8400-e29b-41d4-a716-446655440000",
    "pi is 3.14159265358979",
]


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_what_is_not_personal_data_is_left_alone(text: str) -> None:
    assert redacted(PII(), text) == text


def test_a_card_is_found_between_other_numbers() -> None:
    assert redacted(PII(), f"12 {CARD} 34") == "12 [REDACTED:credit_card] 34"


def test_kinds_can_be_chosen() -> None:
    assert redacted(PII(kinds=("email",)), f"a@b.com {CARD}") == f"[REDACTED:email] {CARD}"


SECRETS = [
    ("api_key", "sk-proj-abcDEF123456ghiJKL7890_-mnoPQR"),
    ("api_key", "sk-ant-api03-AbCd1234efGH5678ijKL"),
    ("api_key", "gsk_0123456789abcdefABCDEF"),
    ("aws_key", "AKIAIOSFODNN7EXAMPLE"),
    ("github_token", "ghp_" + "a1B2" * 9),
    ("github_token", "github_pat_" + "a1B2c3" * 10),
    ("gitlab_token", "glpat-" + "a1B2-" * 4),
    ("slack_token", "xoxb-123456789012-abcdefGHIJ"),
    ("google_key", "AIza" + "SyA1234" * 5),
    ("huggingface_token", "hf_" + "abcdefghij" * 3),
    ("stripe_key", "sk_live_" + "abcd1234" * 3),
    ("jwt", JWT),
    ("private_key", PEM),
]


@pytest.mark.parametrize(("label", "value"), SECRETS)
@pytest.mark.parametrize("around", ["{}", "use {}.", "({})", "Bearer {}", '"{}"', "?k={}&x=1", "a\n{}\nb"])
def test_secrets_are_found(label: str, value: str, around: str) -> None:
    assert value[8:30] not in redacted(Secrets(), around.format(value))
    assert f"[REDACTED:{label}]" in redacted(Secrets(), around.format(value))


def test_a_private_key_in_json_is_found_whole() -> None:
    assert redacted(Secrets(), '{"k": "' + PEM.replace("\n", "\\n") + '"}') == '{"k": "[REDACTED:private_key]"}'


def test_a_random_value_is_a_secret_where_a_name_says_so() -> None:
    assert redacted(Secrets(), 'DB_PASSWORD="x7Kq93mZpLw2Vt8R" ok') == 'DB_PASSWORD="[REDACTED:assigned_secret]" ok'


@pytest.mark.parametrize(
    "text",
    [
        "the token is a good idea",
        "password: correcthorsebatterystaple",
        "key = aaaaaaaaaaaaaaa1",
        "risk-averse-people-are-many",
        "sk-learn-is-a-library",
    ],
)
def test_ordinary_text_holds_no_secret(text: str) -> None:
    assert redacted(Secrets(), text) == text


def test_denied_words_are_found_as_whole_words_in_any_case() -> None:
    rule = DenyList(("Blue Sky", "STRASSE"))
    assert (
        redacted(rule, "blue  SKY, strasse, Strassen, skyblue sky")
        == "[REDACTED:deny_list], [REDACTED:deny_list], Strassen, skyblue sky"
    )


def test_what_is_too_long_is_cut_off() -> None:
    assert redacted(MaxLength(5), "123456789") == "12345[REDACTED:max_length]"
    assert redacted(MaxLength(5), "12345") == "12345"


def test_findings_that_overlap_become_one() -> None:
    spans = find((*Regex("abc", name="x").scanners(9), *Regex("bcdef", name="y").scanners(9)), "-abcdef-")
    assert replaced("-abcdef-", merged(spans)) == "-[REDACTED:x]-"


# in pieces


def windowed(rules: list[GuardRule], pieces: list[str]) -> str:
    armed = [Armed(rule, rule.scanners(64)) for rule in rules]
    call = Call.start(ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "x"}]}))
    window = Window(armed, Tally(call, "output", rules, "fail_closed"), 1_000_000)
    return "".join(window.feed(piece) for piece in pieces) + window.flush()


def whole(rules: list[GuardRule], text: str) -> str:
    return replaced(text, merged(find([scanner for rule in rules for scanner in rule.scanners(64)], text)))


RULES: list[GuardRule] = [
    PII(),
    Secrets(),
    DenyList(("blue sky", "moon"), action="redact"),
    Regex("a+b", action="redact", longest=40),
    MaxLength(400, action="redact"),
]

EXAMPLES = (
    [value for _, value in FOUND + SECRETS]
    + LEFT_ALONE
    + ["Blue   sky", "moon", "aaaab", "my_password = 'x7Kq93mZpLw2Vt8R'"]
)


@pytest.mark.parametrize("value", EXAMPLES)
@pytest.mark.parametrize("around", ["{}", "one {} two", "a{}1", "{}{}", "1 {} 2 {}."])
def test_every_split_in_two_gives_the_same(value: str, around: str) -> None:
    text = around.format(*[value] * around.count("{}"))
    expected = whole(RULES, text)
    for place in range(len(text) + 1):
        assert windowed(RULES, [text[:place], text[place:]]) == expected


@pytest.mark.parametrize("value", EXAMPLES)
def test_character_by_character_gives_the_same(value: str) -> None:
    text = f"It is {value} - or {value}, she said."
    assert windowed(RULES, list(text)) == whole(RULES, text)


_piece = st.one_of(
    st.sampled_from(EXAMPLES),
    st.sampled_from(EXAMPLES).flatmap(lambda value: st.integers(0, len(value)).map(lambda end: value[:end])),
    st.sampled_from(
        [" ", "", ".", "-", "--", "+", "@", ":", "=", "1", "12 ", "a", "é", "\n", "key: ", "the ", ", and "]
    ),
    st.text("ab1-+@. :=é", max_size=6),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(_piece, max_size=12), st.data())
def test_any_text_in_any_pieces_gives_the_same(pieces: list[str], data: st.DataObject) -> None:
    text = "".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    chunks = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert windowed(RULES, chunks) == whole(RULES, text)


SIGNED: list[GuardRule] = [PII(), Secrets()]


def screened(texts: list[str], blocks: list[int]) -> list[ChatChunk]:
    """Chunks of these texts, that come in blocks of these sizes, as they go out."""
    bench = Bench.of("output", SIGNED, 64, "fail_closed", 1_000_000)
    call = Call.start(ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "x"}]}))
    screen = Screen(bench, bench.tally(call))
    left = [
        ChatChunk("id", "m", 1, (ChoiceDelta(0, Delta(content=text)),), None, {"at": at})
        for at, text in enumerate(texts)
    ]
    out: list[ChatChunk] = []
    for size in [*blocks, len(left)]:
        out += screen.take(left[:size])
        left = left[size:]
    return [*out, *screen.finish()]


@settings(max_examples=300, deadline=None)
@given(st.lists(_piece, max_size=12), st.lists(st.integers(1, 6), max_size=6), st.data())
def test_any_pieces_in_any_blocks_give_the_same(pieces: list[str], blocks: list[int], data: st.DataObject) -> None:
    text = "".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    chunks = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    out = screened(chunks, blocks)
    assert "".join(chunk.text for chunk in out) == whole(SIGNED, text)
    assert [chunk.extra["at"] for chunk in out if chunk.extra] == list(range(len(chunks)))


def test_each_chunk_of_a_block_says_its_own_part() -> None:
    words = ["The", " quick", " brown", " fo", "x", " jumps"]
    assert [chunk.text for chunk in screened(words, [4])] == ["The", " quick", " brown", " ", "fox", " ", "jumps"]
    assert [chunk.text for chunk in screened(words, [])] == ["The", " quick", " brown", " fo", "x", " ", "jumps"]


BUILT_IN = [*credentials.DETECTORS, *(detector for kind in pii.DETECTORS.values() for detector in kind)]


@pytest.mark.parametrize("detector", BUILT_IN, ids=lambda detector: f"{detector.label}-{detector.shortest}")
def test_a_trace_is_in_all_that_is_found_and_in_every_long_beginning_of_it(detector: Detector) -> None:
    trace = detector.trace
    assert trace is not None

    @settings(max_examples=60, deadline=None)
    @given(st.from_regex(detector.pattern), st.integers(65, 400))
    def check(text: str, length: int) -> None:
        for match in detector.pattern.finditer(text):
            counts = detector.validate is None or detector.validate(match) is not None
            assert trace.search(match.group()) is not None or not counts
            begun = match.group()[:length]
            assert trace.search(begun) is not None or len(begun) <= 64

    check()


def test_plain_words_are_let_out_at_once_but_for_the_last() -> None:
    rules: list[GuardRule] = [PII(), Secrets()]
    armed = [Armed(rule, rule.scanners(64)) for rule in rules]
    call = Call.start(ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "x"}]}))
    window = Window(armed, Tally(call, "output", rules, "fail_closed"), 1_000_000)
    assert window.feed("The quick brown fox jumps") == "The quick brown fox "
    assert window.feed(" over") == "jumps "


def test_a_window_holds_little_memory() -> None:
    rules: list[GuardRule] = [PII(), Secrets()]
    call = Call.start(ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "x"}]}))
    window = Window(
        [Armed(rule, rule.scanners(64)) for rule in rules], Tally(call, "output", rules, "fail_closed"), 1_000_000
    )
    for _ in range(2000):
        window.feed("some words, ")
    assert len(window._text) < 600


def test_a_long_run_without_spaces_is_not_held_back_whole() -> None:
    rules: list[GuardRule] = [PII(), Secrets()]
    call = Call.start(ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "x"}]}))
    window = Window(
        [Armed(rule, rule.scanners(64)) for rule in rules], Tally(call, "output", rules, "fail_closed"), 1_000_000
    )
    out = "".join(window.feed("QUJD0123") for _ in range(1000))
    assert len(out) > 5000
    assert len(window._text) < 4000


# settings


@pytest.mark.parametrize(
    ("name", "rule_settings"),
    [
        ("nothing", {}),
        ("pii", {"kinds": ["name"]}),
        ("pii", {"kinds": []}),
        ("pii", {"actoin": "block"}),
        ("secrets", {"action": "warn"}),
        ("secrets", {"side": "left"}),
        ("secrets", {"on_error": "explode"}),
        ("regex", {}),
        ("regex", {"pattern": "("}),
        ("regex", {"pattern": "a", "longest": 0}),
        ("deny_list", {"words": []}),
        ("deny_list", {"words": "abc"}),
        ("deny_list", {"words": [" "]}),
        ("max_length", {"max_chars": -1}),
        ("json_schema", {"schema": {"type": "nonsense"}}),
        ("check", {"function": 5}),
        ("check", {"function": len, "timeout_s": 0}),
    ],
    ids=str,
)
def test_settings_that_cannot_be_are_errors(name: str, rule_settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="guardrails"):
        from_name(name, rule_settings)


def test_rules_have_names() -> None:
    assert [from_name(name).label for name in ("pii", "secrets")] == ["pii", "secrets"]
    assert JSONSchema({"type": "object"}).label == "json_schema"
    assert from_name("max_length", {"max_chars": 3, "name": "short"}).label == "short"
