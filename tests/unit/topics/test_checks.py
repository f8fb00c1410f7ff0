"""`manage.py check` says what would stop the start."""

from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from pytest_django import Settings

from topics.conf import load


def test_check_reports_every_problem_with_its_sentence(settings: Settings) -> None:
    settings.GATEWAY, settings.GATEWAY_PROBLEMS = load({"GATEWAY_MAX_TOPIC": "1"})
    with pytest.raises(SystemCheckError) as failed:
        call_command("check", stdout=StringIO(), stderr=StringIO())
    text = str(failed.value)
    assert "gateway.E001" in text
    assert "GATEWAY_API_KEYS is not set" in text
    assert "did you mean GATEWAY_MAX_TOPICS?" in text


def test_check_passes_when_all_is_well(settings: Settings) -> None:
    settings.GATEWAY, settings.GATEWAY_PROBLEMS = load({"GATEWAY_API_KEYS": "unit-key"})
    call_command("check", stdout=StringIO(), stderr=StringIO())
