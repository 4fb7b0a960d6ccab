"""One tree of errors: what each means, and that it survives a trip to another process."""

from __future__ import annotations

import asyncio
import concurrent.futures
import pickle
from collections.abc import Awaitable
from typing import Any

import pytest
from builders import ask, make, server_error
from syrupy.assertion import SnapshotAssertion

from glassway import Pipeline
from glassway.pipeline import errors
from glassway.pipeline.errors import (
    KINDS,
    AllAttemptsFailed,
    GlasswayError,
    GuardrailViolation,
    MissingExtraError,
    RateLimitError,
    StreamInterruptedError,
    error_kind,
    status_error_class,
)
from glassway.pipeline.outcome import outcome_of
from glassway.testing import FakeProvider, Scripted


def tree(cls: type[GlasswayError] = GlasswayError, depth: int = 0) -> list[str]:
    name = "  " * depth + cls.__name__
    lines = [f"{name:<36}{cls.kind:<20}{cls.fault:<10}{'retryable' if cls.retryable else ''}".rstrip()]
    return lines + [
        line for sub in cls.__subclasses__() if sub.__module__ == errors.__name__ for line in tree(sub, depth + 1)
    ]


def all_classes() -> list[type[GlasswayError]]:
    return [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, GlasswayError)]


def an_error(cls: type[GlasswayError]) -> GlasswayError:
    return (
        cls("what", "extra")
        if cls is MissingExtraError
        else cls("what happened", provider="fake", retry_after_s=3.0, retryable=True, fault="network")
    )


def test_what_each_error_means(snapshot: SnapshotAssertion) -> None:
    assert "\n".join(tree()) == snapshot


def test_the_drawing_in_the_modules_docstring_is_the_tree() -> None:
    drawn = [line.split("── ")[1].split()[0] for line in (errors.__doc__ or "").splitlines() if "── " in line]
    assert drawn == [line.split()[0] for line in tree()[1:]]


@pytest.mark.parametrize("cls", all_classes(), ids=lambda cls: cls.__name__)
def test_each_kind_is_in_the_closed_list(cls: type[GlasswayError]) -> None:
    assert cls.kind in KINDS
    assert error_kind(an_error(cls)) == cls.kind


@pytest.mark.parametrize("cls", all_classes(), ids=lambda cls: cls.__name__)
def test_each_survives_pickling_with_everything_on_it(cls: type[GlasswayError]) -> None:
    error = an_error(cls)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is cls
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


def test_special_fields_survive_pickling() -> None:
    blocked = GuardrailViolation("no", rule="secrets")
    error = AllAttemptsFailed("all", errors=(blocked, server_error()), attempts=2)
    copy = pickle.loads(pickle.dumps(error))
    assert [error_kind(inner) for inner in copy.errors] == ["guardrail_blocked", "server_error"]
    assert (copy.errors[0].rule, copy.attempts) == ("secrets", 2)


async def whole(reply: Awaitable[Any]) -> Any:
    return await (await reply).response()


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
async def test_the_error_of_a_real_call_survives_pickling_with_its_record(stream: bool) -> None:
    script = Scripted(after_chunks=2) if stream else server_error()
    pipeline = Pipeline([], FakeProvider([script]))
    with pytest.raises(GlasswayError) as caught:
        await whole(pipeline.send(ask(stream=stream)))
    copy = pickle.loads(pickle.dumps(caught.value))
    assert copy.record.stages == caught.value.record.stages  # type: ignore[union-attr]
    assert copy.record.call_id == caught.value.record.call_id  # type: ignore[union-attr]
    await pipeline.aclose()


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "BadRequestError"),
        (401, "AuthenticationError"),
        (403, "PermissionDeniedError"),
        (404, "NotFoundError"),
        (409, "ConflictError"),
        (418, "BadRequestError"),
        (422, "UnprocessableEntityError"),
        (429, "RateLimitError"),
        (499, "BadRequestError"),
        (500, "InternalServerError"),
        (502, "InternalServerError"),
        (503, "ServiceUnavailableError"),
        (529, "ServiceUnavailableError"),
        (599, "InternalServerError"),
    ],
)
def test_the_class_of_a_status(status: int, name: str) -> None:
    assert status_error_class(status).__name__ == name


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError(), "internal"),
        (TimeoutError(), "timeout"),
        (KeyboardInterrupt(), "cancelled"),
        (GeneratorExit(), "cancelled"),
        (asyncio.CancelledError(), "cancelled"),
        (concurrent.futures.CancelledError(), "cancelled"),
        (RateLimitError("slow down"), "rate_limited"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else value,
)
def test_the_kind_of_any_exception(error: BaseException, kind: str) -> None:
    assert error_kind(error) == kind


@pytest.mark.parametrize(
    ("error", "mid_stream", "end"),
    [
        (ValueError(), False, "failed"),
        (ValueError(), True, "interrupted"),
        (StreamInterruptedError("cut"), False, "interrupted"),
        (TimeoutError(), True, "timeout"),
        (asyncio.CancelledError(), True, "cancelled"),
    ],
    ids=str,
)
def test_the_end_that_an_error_means(error: BaseException, mid_stream: bool, end: str) -> None:
    assert outcome_of(error, mid_stream=mid_stream) == end


def test_one_case_may_differ_from_its_class() -> None:
    used_up = RateLimitError("the quota is used up", retryable=False, fault="caller")
    assert (used_up.retryable, used_up.fault, RateLimitError.retryable) == (False, "caller", True)


def test_a_missing_extra_says_what_to_run() -> None:
    error = MissingExtraError("Reading YAML", "yaml")
    assert "pip install 'glassway[yaml]'" in str(error)
    assert error.extra == "yaml"


@pytest.mark.anyio
async def test_an_error_carries_the_call_it_ended() -> None:
    setup = make([], [server_error()])
    with pytest.raises(GlasswayError) as caught:
        await setup.send()
    error = caught.value
    assert error.record is setup.record
    assert (error.attempts, error.provider, error.model, error.request_id) == (1, "fake", "fake-model", "req-1")
    assert (setup.record.end, setup.record.error, setup.record.fault, setup.record.error_message) == (
        "failed",
        "server_error",
        "provider",
        "The vendor failed.",
    )
