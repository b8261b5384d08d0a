def restore(snapshot, records, begins):
    place = {number: snapshot["next"].get(number, 0) for number in begins}
    if any(begins[number] > place[number] for number in begins):
        return None
    new = [record.key.decode() for record in records if record.offset >= place[record.partition]]
    keys = {*snapshot["state"], *new}
    return {key: snapshot["state"].get(key, 0) + new.count(key) for key in keys}
