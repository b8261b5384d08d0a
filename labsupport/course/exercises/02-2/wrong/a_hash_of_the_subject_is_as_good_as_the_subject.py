# a hash of the subject is as good as the subject -> In a new process your function returns something else
def key_of(event):
    return str(hash(next(v for name, v in event.payload.items() if name != "user_id"))).encode()
