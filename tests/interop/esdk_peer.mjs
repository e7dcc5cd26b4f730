// The AWS Encryption SDK for JavaScript as a peer: does the jobs on stdin, answers on stdout.
//
//     node esdk_peer.mjs MODULES <JOBS >ANSWERS
//
// MODULES is the node_modules that esdk-js/install.sh made. Jobs and answers are those of esdk_peer.py,
// with `locale_order` (of AES keys: the order of context keys that this SDK has unless asked for the
// specification's) in place of `native`; `required` it has not.
import { createReadStream, createWriteStream, readFileSync, rmSync } from 'node:fs'
import { constants } from 'node:crypto'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'

const sdk = createRequire(resolve(process.argv[2], 'x.js'))('@aws-crypto/client-node')

const policies = {
  'require-require': sdk.CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
  'require-allow': sdk.CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT,
  'forbid-allow': sdk.CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT
}

function keyring (key, job) {
  const names = { keyNamespace: key.namespace, keyName: key.name }
  if (key.kind === 'aes') {
    // It wants a buffer of its own, not a slice of Node's pool.
    const material = new Uint8Array(Buffer.from(key.material, 'base64'))
    const wrappingSuite = sdk.RawAesWrappingSuiteIdentifier[`AES${material.length * 8}_GCM_IV12_TAG16_NO_PADDING`]
    return new sdk.RawAesKeyringNode({ ...names, unencryptedMasterKey: material, wrappingSuite, utf8Sorting: !job.locale_order })
  }
  const rsaKey = { publicKey: key.public, privateKey: key.private }
  if (key.padding === 'pkcs1') return new sdk.RawRsaKeyringNode({ ...names, rsaKey, padding: constants.RSA_PKCS1_PADDING })
  return new sdk.RawRsaKeyringNode({ ...names, rsaKey, oaepHash: key.padding.slice('oaep-'.length) })
}

function multiKeyring (job) {
  const rings = job.keys.map(key => keyring(key, job))
  return rings.length === 1 ? rings[0] : new sdk.MultiKeyringNode({ generator: rings[0], children: rings.slice(1) })
}

function stream (job) {
  if (job.required) throw new Error('this SDK has no required encryption context')
  const client = sdk.buildClient({
    commitmentPolicy: policies[job.policy ?? 'require-require'],
    maxEncryptedDataKeys: job.max_edks ?? false
  })
  if (job.verb === 'decrypt') return client.decryptStream(multiKeyring(job))
  return client.encryptStream(multiKeyring(job), {
    suiteId: job.suite && parseInt(job.suite, 16),
    frameLength: job.frame_length,
    encryptionContext: job.context
  })
}

async function run (job) {
  const start = process.cpuUsage()
  const cipher = stream(job)
  let header
  cipher.on('MessageHeader', found => { header = found })
  await pipeline(createReadStream(job.in), cipher, createWriteStream(job.out))
  return {
    suite: header && header.suiteId.toString(16).padStart(4, '0'),
    context: header && { ...header.encryptionContext },
    user: process.cpuUsage(start).user / 1e6,
    rss: process.resourceUsage().maxRSS
  }
}

const answers = []
for (const job of JSON.parse(readFileSync(0))) {
  try {
    answers.push(await run(job))
  } catch (error) { // whatever it is, it is a refusal
    answers.push({ refused: `${error.name}: ${error.message}`.slice(0, 500) })
    rmSync(job.out, { force: true })
  }
}
process.stdout.write(JSON.stringify(answers))
