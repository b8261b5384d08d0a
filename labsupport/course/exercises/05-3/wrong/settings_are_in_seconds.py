# settings are in seconds -> InvalidSessionTimeoutError
def settings(name):
    return {"session_timeout_ms": 3, "heartbeat_interval_ms": 1} | {"group_instance_id": name}
