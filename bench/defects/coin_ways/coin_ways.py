def count_ways(amount, coins):
    """In how many ways coins add up to an amount, order not counted."""
    ways = [1] + [0] * amount
    for coin in coins:
        for total in range(coin, amount + 1):
            ways[total] += ways[total - 1]
    return ways[amount]
