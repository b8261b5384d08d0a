def judge_again(order, limit):
    match order:
        case {"amount": amount}:
            return amount > limit
        case {"risky": True, "limit": old} if old >= limit:
            return True
        case {"risky": False, "limit": old} if old <= limit:
            return False
