def settings(name):
    """The settings of the member of that name, a dict."""
    return {
        "group_instance_id": name,
        "session_timeout_ms": 3_000,
        "heartbeat_interval_ms": 500,
    }
