"""The AWS Encryption SDK for Python as a peer: does the jobs on stdin, answers on stdout.

    esdk_peer.py <JOBS >ANSWERS

One JSON list each way, in the same order; one start does many jobs. esdk_peer.mjs takes the same. A job:
  verb           encrypt, decrypt
  in, out        files
  keys           of the keyring, the first the generator; more than one: a multi-keyring.
                 {kind: aes, namespace, name, material: base64}
                 {kind: rsa, namespace, name, padding, public: PEM, private: PEM} (one of the two may be missing)
  policy         require-require (the default), require-allow, forbid-allow
  suite, frame_length, context                   of what is encrypted
  required       names of pairs that are authenticated but not stored; to decrypt, `context` has them
  max_edks       recipients that are taken
  native         the SDK's own master keys instead of the keyrings of the material providers library
An answer: {suite, context, user, rss} with the job's user CPU in seconds and what the process had at most
in KiB, or {refused: text}.
"""
import base64
import json
import logging
import os
import resource
import sys

import aws_encryption_sdk
from aws_cryptographic_material_providers.mpl import AwsCryptographicMaterialProviders
from aws_cryptographic_material_providers.mpl import models
from aws_cryptographic_material_providers.mpl.config import MaterialProvidersConfig
from aws_encryption_sdk.identifiers import AlgorithmSuite, CommitmentPolicy, EncryptionKeyType, WrappingAlgorithm
from aws_encryption_sdk.internal.crypto.wrapping_keys import WrappingKey
from aws_encryption_sdk.key_providers.raw import RawMasterKeyProvider

POLICIES = {"require-require": CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
            "require-allow": CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT,
            "forbid-allow": CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT}
AES = {16: models.AesWrappingAlg.ALG_AES128_GCM_IV12_TAG16, 24: models.AesWrappingAlg.ALG_AES192_GCM_IV12_TAG16,
       32: models.AesWrappingAlg.ALG_AES256_GCM_IV12_TAG16}
PADDINGS = {"pkcs1": models.PaddingScheme.PKCS1, "oaep-sha1": models.PaddingScheme.OAEP_SHA1_MGF1,
            "oaep-sha256": models.PaddingScheme.OAEP_SHA256_MGF1, "oaep-sha384": models.PaddingScheme.OAEP_SHA384_MGF1,
            "oaep-sha512": models.PaddingScheme.OAEP_SHA512_MGF1}
CHUNK = 16384  # where this SDK is fastest: larger reads take it a time that grows with their square
PROVIDERS = AwsCryptographicMaterialProviders(config=MaterialProvidersConfig())


def keyring(key):
    names = {"key_namespace": key["namespace"], "key_name": key["name"]}
    if key["kind"] == "aes":
        material = base64.b64decode(key["material"])
        return PROVIDERS.create_raw_aes_keyring(models.CreateRawAesKeyringInput(
            wrapping_key=material, wrapping_alg=AES[len(material)], **names))
    halves = {f"{half}_key": key[half].encode() for half in ("public", "private") if half in key}
    return PROVIDERS.create_raw_rsa_keyring(models.CreateRawRsaKeyringInput(
        padding_scheme=PADDINGS[key["padding"]], **halves, **names))


def multi_keyring(keys):
    rings = [keyring(key) for key in keys]
    if len(rings) == 1:
        return rings[0]
    return PROVIDERS.create_multi_keyring(models.CreateMultiKeyringInput(generator=rings[0], child_keyrings=rings[1:]))


def materials_manager(job):
    manager = PROVIDERS.create_default_cryptographic_materials_manager(
        models.CreateDefaultCryptographicMaterialsManagerInput(keyring=multi_keyring(job["keys"])))
    return PROVIDERS.create_required_encryption_context_cmm(models.CreateRequiredEncryptionContextCMMInput(
        underlying_cmm=manager, required_encryption_context_keys=job["required"]))


def wrapping_key(key):
    if key["kind"] == "aes":
        material = base64.b64decode(key["material"])
        return WrappingKey(WrappingAlgorithm[f"AES_{len(material) * 8}_GCM_IV12_TAG16_NO_PADDING"], material,
                           EncryptionKeyType.SYMMETRIC)
    padding = "RSA_PKCS1" if key["padding"] == "pkcs1" else f"RSA_{key['padding'].upper().replace('-', '_')}_MGF1"
    half = "private" if "private" in key else "public"
    return WrappingKey(WrappingAlgorithm[padding], key[half].encode(), EncryptionKeyType[half.upper()])


def master_key_provider(keys):
    """One provider for each key: keys of one namespace may differ in kind."""
    def provider(key):
        class OfOneKey(RawMasterKeyProvider):
            provider_id = key["namespace"]

            def _get_raw_key(self, key_id):
                return wrapping_key(key)
        made = OfOneKey()
        made.add_master_key(key["name"].encode())
        return made
    first, *others = [provider(key) for key in keys]
    for other in others:
        first.add_master_key_provider(other)
    return first


def who(job):
    if job.get("native"):
        return {"key_provider": master_key_provider(job["keys"])}
    if "required" in job:
        return {"materials_manager": materials_manager(job)}
    return {"keyring": multi_keyring(job["keys"])}


def options(job):
    found = who(job)
    if "context" in job and not (job.get("native") and job["verb"] == "decrypt"):
        found["encryption_context"] = job["context"]
    if job["verb"] == "encrypt" and "suite" in job:
        found["algorithm"] = AlgorithmSuite.get_by_id(int(job["suite"], 16))
    if job["verb"] == "encrypt" and "frame_length" in job:
        found["frame_length"] = job["frame_length"]
    return found


def do(job):
    start = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    client = aws_encryption_sdk.EncryptionSDKClient(commitment_policy=POLICIES[job.get("policy", "require-require")],
                                                    max_encrypted_data_keys=job.get("max_edks"))
    with open(job["in"], "rb") as source, open(job["out"], "wb") as out, \
            client.stream(mode=job["verb"], source=source, **options(job)) as stream:
        while chunk := stream.read(CHUNK):
            out.write(chunk)
        header = stream.header
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {"suite": f"{header.algorithm.algorithm_id:04x}", "context": dict(header.encryption_context),
            "user": usage.ru_utime - start, "rss": usage.ru_maxrss}


def main():
    logging.disable()  # it writes a page for each refusal
    answers = []
    for job in json.load(sys.stdin):
        try:
            answers.append(do(job))
        except Exception as error:  # whatever it is, it is a refusal
            answers.append({"refused": f"{type(error).__name__}: {error}"[:500]})
            if os.path.exists(job["out"]):
                os.unlink(job["out"])
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
