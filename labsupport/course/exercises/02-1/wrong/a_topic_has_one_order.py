# a topic has one order -> between keys there is no order to break
def out_of_order(records):
    numbers = [n for k, n in records]
    return {k for k, n in records} if numbers != sorted(numbers) else set()
