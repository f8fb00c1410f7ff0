"""Publishing: admission on headers alone, and the one way in for every event.

`from publishing import publish, publish_sync` is for Python code that has events of its own
(docs/how-to/publish-from-python.md).
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from publishing.programmatic import publish, publish_sync

__all__ = ["publish", "publish_sync"]


def __getattr__(name: str) -> Any:
    # Django imports this package before its models may be: what needs them comes when it is asked for.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from publishing import programmatic  # noqa: PLC0415

    return getattr(programmatic, name)
