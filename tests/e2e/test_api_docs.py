"""The API's page in a real Chromium: it works though it may load and run nothing but the gateway's own files."""

from __future__ import annotations

import pytest
from playwright.async_api import ConsoleMessage, expect

from tests.e2e.browser import chromium, needs_chromium
from tests.gateway import RunningGateway

pytestmark = needs_chromium


@pytest.mark.timeout(60)
async def test_a_request_can_be_tried_with_a_key() -> None:
    with RunningGateway("daphne") as gateway:
        async with chromium() as browser:
            page = await browser.new_page()
            complaints: list[str] = []

            def note(message: ConsoleMessage) -> None:
                if message.type in ("error", "warning"):
                    complaints.append(message.text)

            page.on("console", note)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            await page.goto(f"{gateway.url}/api/docs")
            await page.get_by_role("button", name="Authorize").click()
            await page.locator("#auth-bearer-value").fill(gateway.key)
            await page.get_by_role("button", name="Apply credentials").first.click()
            await page.get_by_role("button", name="Close").first.click()
            operation = page.locator(".opblock").filter(has_text="/api/v1/topics").first
            await operation.get_by_role("button").first.click()
            await operation.get_by_role("button", name="Try it out").click()
            await operation.get_by_role("button", name="Execute").click()
            await expect(operation.locator(".live-responses-table")).to_contain_text('"total": 0')
            assert complaints == []
