from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator


def hand_on(headers, span, new_trace):
    carrier = [(name, (value or b"").decode("utf-8", "replace")) for name, value in headers if name == "traceparent"]
    carrier = dict(carrier) if len(carrier) < 2 else {}
    received = trace.get_current_span(TraceContextTextMapPropagator().extract(carrier)).get_span_context()
    trace_id = received.trace_id if received.is_valid else int(new_trace, 16)
    flags = received.trace_flags if received.is_valid else trace.TraceFlags(1)
    own = trace.SpanContext(trace_id, int(span, 16), False, flags)
    injected = {}
    context = trace.set_span_in_context(trace.NonRecordingSpan(own))
    TraceContextTextMapPropagator().inject(injected, context)
    kept = [(name, value) for name, value in headers if name != "traceparent"]
    return kept + [(name, value.encode()) for name, value in injected.items()]
