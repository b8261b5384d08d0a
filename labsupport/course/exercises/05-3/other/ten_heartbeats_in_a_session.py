def settings(name):
    beat = 300
    return dict(
        session_timeout_ms=10 * beat,
        heartbeat_interval_ms=beat,
        max_poll_interval_ms=60_000,
        group_instance_id=f"reports-{name.lower()}",
    )
