# a heartbeat can be slower than the session -> lower than the session
def settings(name):
    return {"session_timeout_ms": 3000, "heartbeat_interval_ms": 3000} | {"group_instance_id": name}
