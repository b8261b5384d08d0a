fate = lambda leader, isr, acks, min_isr, dead: (  # noqa: E731
    "refused"
    if acks == "all" and len(isr) < min_isr
    else "offline"
    if all(broker in dead for broker in isr)
    else ("kept", "lost")[acks == 1 and leader in dead]
)
