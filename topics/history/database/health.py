"""Whether the database did what it was last asked for; the log says when that changes."""

import asyncio
import logging
from collections.abc import Awaitable
from typing import TypeVar

from django.db import Error

from topics.exceptions import PlacementUnavailable

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 10.0
"""Longest wait of a publisher, or a reader, for the database."""

Answer = TypeVar("Answer")


class Health:
    """Knows of each failure.

    Attributes:
        failing: Whether the last that is known is one.
    """

    def __init__(self) -> None:
        self.failing = False

    async def answer(self, work: Awaitable[Answer]) -> Answer:
        """Wait for what the database is asked, but not for ever.

        Raises:
            PlacementUnavailable: It failed, or took more than `ANSWER_SECONDS`.
        """
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await work
        except Error as error:
            raise self.failed(error) from error
        except TimeoutError:
            raise self.failed("it does not answer") from None

    def failed(self, why: Exception | str) -> PlacementUnavailable:
        """Take note of a failure; returns what is raised for it."""
        detail = " ".join(str(why).split()) or type(why).__name__
        if not self.failing:
            self.failing = True
            logger.warning("history store unavailable", extra={"detail": detail})
        return PlacementUnavailable(f"The database of the history fails: {detail}")

    def works(self) -> None:
        """Take note that it did what it was asked for."""
        if self.failing:
            self.failing = False
            logger.info("history store back")
