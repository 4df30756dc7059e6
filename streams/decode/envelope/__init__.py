"""What a record is wrapped in: compression of its value, CloudEvents. One call takes it off: `open`."""

from streams.decode.envelope.opening import Opened, open, wraps

__all__ = ["Opened", "open", "wraps"]
