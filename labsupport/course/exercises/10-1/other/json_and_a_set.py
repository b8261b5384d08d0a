import json


def helps(letter):
    try:
        payload = json.loads(letter.value)["payload"]
    except ValueError:
        return False
    return ("release", b"2.4") in letter.headers and payload["amount"] <= 1_000_000 and "limit" in letter.message


def to_redrive(letters):
    return {each for each in letters if helps(each)}
