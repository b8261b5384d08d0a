def settings(name):
    return {"session_timeout_ms": 4000, "heartbeat_interval_ms": 1000} | {"group_instance_id": name}
