"""Statuses: codes that device code stores, and words for people."""

import pytest

from cubie.status import Status


def test_codes_are_those_that_device_code_stores() -> None:
    assert [int(status) for status in Status] == list(range(8))
    assert (int(Status.success), int(Status.event), int(Status.max_steps)) == (0, 1, 2)


@pytest.mark.parametrize("status", Status)
def test_every_status_has_a_label_and_one_remedy(status: Status) -> None:
    assert status.label == status.name.replace("_", " ")
    assert status.remedy.endswith(".")


@pytest.mark.parametrize("status", [status for status in Status if status.is_failure])
def test_remedies_of_failures_name_what_to_change(status: Status) -> None:
    assert any(word in status.remedy for word in ("max_steps", "rtol", "max_step", "first_step"))


def test_success_and_event_are_no_failures() -> None:
    assert [status for status in Status if not status.is_failure] == [Status.success, Status.event]


def test_newton_that_fails_before_any_step_has_found_no_consistent_start() -> None:
    assert "consistent initial values" in Status.newton_failed.remedy_after(0)
    assert Status.newton_failed.remedy_after(1) == Status.newton_failed.remedy
    assert Status.non_finite.remedy_after(0) == Status.non_finite.remedy


@pytest.mark.parametrize("status", [Status.singular, Status.non_finite])
def test_infinite_derivatives_are_named_where_they_end_runs(status: Status) -> None:
    assert "derivative" in status.remedy and "explicit method" in status.remedy and "\n" not in status.remedy
