# one heartbeat in a session is enough -> two may be lost
def settings(name):
    return {"session_timeout_ms": 3500, "heartbeat_interval_ms": 1500} | {"group_instance_id": name}
