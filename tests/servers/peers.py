"""What the tests against servers share: clients of boto3, the front's control."""
import json
import os
import urllib.request

import boto3
import botocore.config

ENDPOINTS = {"dynalite": "KB_DYNALITE_URL", "moto": "KB_MOTO_URL", "dynamodb-local": "KB_DYNAMODB_LOCAL_URL", "front": "KB_FRONT_URL"}


def client(service, url, tries=1, **more):
    config = botocore.config.Config(retries={"max_attempts": tries - 1}, connect_timeout=5, read_timeout=30)
    return boto3.client(service, endpoint_url=url, config=config, **more)


def resource(url, tries=3):
    config = botocore.config.Config(retries={"max_attempts": tries - 1})
    return boto3.resource("dynamodb", endpoint_url=url, config=config)


def servers():
    """(name, URL) of the DynamoDB servers that with.sh started."""
    return [(name, os.environ[ENDPOINTS[name]]) for name in ("dynalite", "moto", "dynamodb-local") if ENDPOINTS[name] in os.environ]


def front(**change):
    """Change the front's rules, after a reset."""
    request = urllib.request.Request(os.environ["KB_FRONT_URL"] + "/__front/rules", json.dumps({"reset": True, **change}).encode())
    urllib.request.urlopen(request).close()


def front_stats():
    with urllib.request.urlopen(os.environ["KB_FRONT_URL"] + "/__front/stats") as answer:
        return json.load(answer)


def create_table(dynamodb, name, partition="pk", sort="sk", types="SN"):
    """A table of that key, empty even when it was there before."""
    if name in dynamodb.list_tables()["TableNames"]:
        dynamodb.delete_table(TableName=name)
        dynamodb.get_waiter("table_not_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
    keys = [(partition, "HASH", types[0])] + ([(sort, "RANGE", types[1])] if sort else [])
    dynamodb.create_table(TableName=name, BillingMode="PAY_PER_REQUEST",
                          KeySchema=[{"AttributeName": n, "KeyType": k} for n, k, _ in keys],
                          AttributeDefinitions=[{"AttributeName": n, "AttributeType": t} for n, _, t in keys])
    while dynamodb.describe_table(TableName=name)["Table"]["TableStatus"] != "ACTIVE":
        pass


def scan_all(dynamodb, name):
    return [item for page in dynamodb.get_paginator("scan").paginate(TableName=name) for item in page["Items"]]
