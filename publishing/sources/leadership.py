"""Which node runs a source that must run once: whoever holds its key in the placement's Redis."""

import time

from redis.exceptions import RedisError

from publishing.sources.redis_subscription import prepare
from topics.placement.redis.address import parse_address
from topics.placement.redis.keys import Keys

LEASE_SECONDS = 5.0
"""How long the others wait for a node that died."""

RENEW_SECONDS = 1.0

TAKE_SECONDS = 0.25
"""How often the others look: what a node that leaves in peace gives back is not free for long."""

_MARGIN_SECONDS = 0.5
"""How much earlier the holder believes that its time is up: clocks run at different speeds, and messages take time."""

AWAY = (RedisError, OSError, RuntimeError, AttributeError)
"""What says that Redis cannot be reached (as `topics.placement.redis.commands.UNREACHABLE`)."""

_RENEW = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0
"""
_GIVE_BACK = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class Seats:
    """The keys of all sources in one Redis.

    Args:
        url: Of the placement's Redis (`GATEWAY_REDIS_URL`).
        holder: Unique name of this node's process.
    """

    def __init__(self, url: str, holder: str) -> None:
        address = parse_address(url)
        self._prefix = Keys(address.database).prefix
        self._holder = holder
        self.redis = address.client(prepare)
        self.board = f"{self._prefix}sources"
        """Key under which the nodes say how their sources are."""

    def seat(self, source: str) -> "Seat":
        """Return the seat of a source."""
        return Seat(self, f"{self._prefix}source:{source}")

    async def take(self, key: str) -> bool:
        """Take a key that nobody holds."""
        return bool(await self.redis.set(key, self._holder, nx=True, px=round(LEASE_SECONDS * 1000)))

    async def renew(self, key: str) -> bool:
        """Hold a key longer; False when it is somebody else's, or nobody's."""
        return bool(await self.redis.eval(_RENEW, 1, key, self._holder, str(round(LEASE_SECONDS * 1000))))

    async def give_back(self, key: str) -> None:
        """Let another node have a key at once."""
        await self.redis.eval(_GIVE_BACK, 1, key, self._holder)

    async def close(self) -> None:
        """Close the connections."""
        await self.redis.aclose()


class Seat:
    """The right to run one source.

    Args:
        seats: Where it is.
        key: Its name there.
    """

    def __init__(self, seats: Seats, key: str) -> None:
        self._seats = seats
        self._key = key
        self._until = 0.0

    @property
    def held(self) -> bool:
        """Whether no other node can hold it now."""
        return time.monotonic() < self._until

    async def take(self) -> bool:
        """Take it if it is free; False also when Redis is away."""
        begun = time.monotonic()
        try:
            taken = await self._seats.take(self._key) or await self._seats.renew(self._key)
        except AWAY:
            return False
        if taken:
            self._until = begun + LEASE_SECONDS - _MARGIN_SECONDS
        return taken

    async def renew(self) -> bool:
        """Hold it longer; False when it is lost, True also when Redis does not answer but time is left."""
        # Counted from before the question: from then on Redis may have counted.
        begun = time.monotonic()
        try:
            if not await self._seats.renew(self._key):
                self._until = 0.0
                return False
        except AWAY:
            return self.held
        self._until = begun + LEASE_SECONDS - _MARGIN_SECONDS
        return True

    async def give_back(self) -> None:
        """Let another node have it; without Redis its time runs out by itself."""
        if self._until:
            self._until = 0.0
            try:
                await self._seats.give_back(self._key)
            except AWAY:
                return
