"""The ready-made instrumentation of kafka-python, switched on for a while.

The package is `opentelemetry-instrumentation-kafka-python`. It makes a span of each `send` and injects its context.
When a consumer is iterated, it makes a span of each record, which ends before the loop gets the record; `poll` has
none. Lesson 14 shows what becomes of a trace.
"""

import contextlib
from collections.abc import Iterator

from opentelemetry.instrumentation.kafka import KafkaInstrumentor

from labsupport.observability.tracing import Recorder


@contextlib.contextmanager
def instrumented(recorder: Recorder) -> Iterator[None]:
    """For the body of a `with`, the instrumentation changes kafka-python's classes, and its spans go to `recorder`.

    This concerns every producer and consumer of the process. Not to be nested.
    """
    instrumentor = KafkaInstrumentor()
    instrumentor.instrument(tracer_provider=recorder.provider)
    try:
        yield
    finally:
        instrumentor.uninstrument()
