# the shorter the session the better -> before it is back
def settings(name):
    return {"session_timeout_ms": 1000, "heartbeat_interval_ms": 300} | {"group_instance_id": name}
