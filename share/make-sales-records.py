#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes sales-records.csv to standard output: 1,000 invented sales records.

The same bytes every time: only random() of a fixed seed is used, which Python
keeps the same between its versions, and money is counted in cents.
"""
import csv
import datetime
import random
import sys

RECORDS = 1000
SEED = 20261121

COLUMNS = [
    "Region", "Country", "Item Type", "Sales Channel", "Order Priority", "Order Date", "Order ID",
    "Ship Date", "Units Sold", "Unit Price", "Unit Cost", "Total Revenue", "Total Cost",
    "Total Profit",
]

# Region: how many of a hundred records, and countries.
REGIONS = {
    "Europe": (30, ["Austria", "Estonia", "France", "Germany", "Iceland", "Italy", "Latvia",
                    "Norway", "Poland", "Portugal", "Slovenia", "Spain", "Switzerland"]),
    "North America": (18, ["Canada", "Greenland", "Mexico", "United States of America"]),
    "Sub-Saharan Africa": (16, ["Botswana", "Côte d'Ivoire", "Ghana", "Kenya", "Mozambique",
                                "Namibia", "Rwanda", "Senegal", "Uganda"]),
    "Asia": (14, ["India", "Indonesia", "Japan", "Mongolia", "Nepal", "Thailand", "Vietnam"]),
    "Middle East and North Africa": (9, ["Egypt", "Jordan", "Morocco", "Oman", "Tunisia"]),
    "Central America and the Caribbean": (7, ["Barbados", "Belize", "Costa Rica", "Panama"]),
    "Australia and Oceania": (6, ["Australia", "Fiji", "New Zealand", "Samoa"]),
}

# Item type: how many of a hundred records, price and cost of a unit in cents.
ITEM_TYPES = {
    "Vegetables": (13, 11840, 7215),
    "Office Supplies": (14, 48675, 39120),
    "Bakery": (9, 6430, 3905),
    "Bicycles": (6, 61900, 48250),
    "Ceramics": (8, 15775, 9460),
    "Cheese": (9, 23315, 16090),
    "Garden Tools": (7, 31260, 22445),
    "Lamps": (8, 27050, 17830),
    "Notebooks": (9, 895, 410),
    "Shoes": (9, 19420, 11975),
    "Tea": (8, 7605, 4150),
}


def pick(rng, values):
    return values[int(rng.random() * len(values))]


def pick_weighted(rng, table):
    """A key of the table by the first member of its value."""
    point = rng.random() * sum(entry[0] for entry in table.values())
    for key, entry in table.items():
        point -= entry[0]
        if point < 0:
            return key
    return key


def money(cents):
    return f"{cents // 100}.{cents % 100:02d}"


def date(day):
    return f"{day.month}/{day.day}/{day.year}"


def record(rng, used):
    region = pick_weighted(rng, REGIONS)
    item_type = pick_weighted(rng, ITEM_TYPES)
    _, price, cost = ITEM_TYPES[item_type]
    ordered = datetime.date(2019, 1, 1) + datetime.timedelta(days=int(rng.random() * 2557))
    shipped = ordered + datetime.timedelta(days=int(rng.random() * 51))
    units = 1 + int(rng.random() * 9999)
    number = 0
    while number in used:
        number = 100000000 + int(rng.random() * 900000000)
    used.add(number)
    return [
        region, pick(rng, REGIONS[region][1]), item_type, pick(rng, ["Online", "Offline"]),
        pick(rng, "HMLC"), date(ordered), number, date(shipped), units, money(price), money(cost),
        money(units * price), money(units * cost), money(units * (price - cost)),
    ]


def main():
    rng = random.Random(SEED)
    sys.stdout.reconfigure(encoding="utf-8", newline="")
    out = csv.writer(sys.stdout, lineterminator="\n")
    used = {0}
    out.writerow(COLUMNS)
    for _ in range(RECORDS):
        out.writerow(record(rng, used))


if __name__ == "__main__":
    main()
