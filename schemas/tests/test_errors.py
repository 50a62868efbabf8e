"""Errors belong to families, and the registry says which."""

import pytest

from cloned_schemas.errors import (
    FAMILIES,
    ClonedError,
    PluginFault,
    Unavailable,
    UserMistake,
    error_for,
    raise_for,
    registry,
)


def test_every_registered_id_has_a_class_of_its_family() -> None:
    assert {error_for(error_id, "it happened").family for error_id in registry()} <= set(FAMILIES)


def test_an_error_tells_the_fact_and_the_next_step() -> None:
    with pytest.raises(Unavailable) as caught:
        raise_for("SANDBOX_UNAVAILABLE", "bwrap is missing", repair="install it", details={"sent": False})
    error = caught.value
    assert (error.id, error.fact, error.repair, error.details) == (
        "SANDBOX_UNAVAILABLE",
        "bwrap is missing",
        "install it",
        {"sent": False},
    )
    assert str(error) == "SANDBOX_UNAVAILABLE: bwrap is missing; install it"


def test_the_registrys_repair_stands_where_no_better_is_known() -> None:
    assert PluginFault("WORKER_DIED", "it died").repair == registry()["WORKER_DIED"].repair


def test_an_id_of_another_family_is_refused() -> None:
    with pytest.raises(ValueError, match="plugin_fault"):
        UserMistake("WORKER_DIED", "it died")
    with pytest.raises(ValueError, match="the root"):
        ClonedError("WORKER_DIED", "it died")


def test_an_unregistered_id_is_refused() -> None:
    with pytest.raises(LookupError, match="NOPE"):
        raise_for("NOPE", "it happened")
