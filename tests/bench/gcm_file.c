/* SPDX-License-Identifier: Apache-2.0
 *
 * The floor under `keybridge envelope` on files: the same reads, the same
 * AES-GCM calls and the same writes, and nothing around them, in one thread.
 *
 *   bench_gcm_file encrypt|decrypt IN OUT FRAME-LENGTH
 *
 * A frame is laid out as in the AWS Encryption SDK's message body, each with an
 * IV, additional data of the same length and a tag of its own; no header, no
 * key that is wrapped, no signature. A shorter last frame is one more frame.
 * The output has a temporary name until it is on the disk.
 */
#include <openssl/evp.h>

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    STEP = 1024 * 1024, /* bytes read at once, as the command does */
    IV = 12,
    TAG = 16,
    HEAD = 4 + IV, /* sequence number and IV */
    OVERHEAD = HEAD + TAG,
    AAD = 32 + 28 + 4 + 8, /* message id, "AWSKMSEncryptionClient Frame", number, length */
};

static const uint8_t key[32] = {1, 2, 3};
static uint8_t aad[AAD];
static EVP_CIPHER_CTX *context;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void put(uint8_t *out, size_t size, uint64_t number)
{
    while (size--) {
        out[size] = (uint8_t)number;
        number >>= 8;
    }
}

static void begin(const uint8_t *iv, uint32_t sequence, size_t size)
{
    int made;

    put(aad + AAD - 12, 4, sequence);
    put(aad + AAD - 8, 8, size);
    if (EVP_CipherInit_ex(context, NULL, NULL, NULL, iv, -1) != 1 ||
        EVP_CipherUpdate(context, NULL, &made, aad, AAD) != 1)
        die("AES-GCM");
}

static size_t encrypt_frame(uint8_t *out, const uint8_t *in, size_t size, uint32_t sequence)
{
    int made;

    put(out, 4, sequence);
    put(out + 4, IV, sequence);
    begin(out + 4, sequence, size);
    if (EVP_CipherUpdate(context, out + HEAD, &made, in, (int)size) != 1 ||
        EVP_CipherFinal_ex(context, out + HEAD + size, &made) != 1 ||
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TAG, out + HEAD + size) != 1)
        die("AES-GCM");
    return size + OVERHEAD;
}

static size_t decrypt_frame(uint8_t *out, const uint8_t *in, size_t size, uint32_t sequence)
{
    uint8_t tag[TAG];
    int made;

    size -= OVERHEAD;
    memcpy(tag, in + HEAD + size, TAG);
    begin(in + 4, sequence, size);
    if (EVP_CipherUpdate(context, out, &made, in + HEAD, (int)size) != 1 ||
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TAG, tag) != 1 ||
        EVP_CipherFinal_ex(context, out + size, &made) != 1)
        die("a forged frame");
    return size;
}

static void write_all(int fd, const uint8_t *data, size_t size)
{
    while (size) {
        ssize_t step = write(fd, data, size);

        if (step <= 0)
            die("writing");
        data += step;
        size -= (size_t)step;
    }
}

/* Steps of input, whole frames of each, what is left at the start of the next. */
static void convert(int in, int out, bool encrypt, size_t frame)
{
    static uint8_t buffer[STEP], made[2 * STEP];
    size_t unit = encrypt ? frame : frame + OVERHEAD, kept = 0;
    uint32_t sequence = 0;
    ssize_t got;

    do {
        size_t at = 0, size = 0;

        got = read(in, buffer + kept, sizeof buffer - kept);
        if (got < 0)
            die("reading");
        kept += (size_t)got;
        while (kept - at >= unit || (got == 0 && kept > at)) {
            size_t piece = kept - at < unit ? kept - at : unit;

            size += (encrypt ? encrypt_frame : decrypt_frame)(made + size, buffer + at, piece,
                                                              ++sequence);
            at += piece;
        }
        write_all(out, made, size);
        memmove(buffer, buffer + at, kept - at);
        kept -= at;
    } while (got > 0);
}

int main(int argc, char **argv)
{
    size_t frame = argc == 5 ? strtoul(argv[4], NULL, 10) : 0;
    bool encrypt = argc == 5 && strcmp(argv[1], "encrypt") == 0;
    char temporary[4096];
    int in, out;

    if (frame < 64 || frame + OVERHEAD > STEP) {
        fputs("usage: bench_gcm_file encrypt|decrypt IN OUT FRAME-LENGTH\n", stderr);
        return 2;
    }
    context = EVP_CIPHER_CTX_new();
    if (!context || EVP_CipherInit_ex(context, EVP_aes_256_gcm(), NULL, key, NULL, encrypt) != 1)
        die("AES-GCM");
    snprintf(temporary, sizeof temporary, "%s.tmp", argv[3]);
    in = open(argv[2], O_RDONLY | O_CLOEXEC);
    out = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (in < 0 || out < 0)
        die("opening");
    convert(in, out, encrypt, frame);
    if (fsync(out) != 0 || close(out) != 0 || rename(temporary, argv[3]) != 0)
        die(argv[3]);
    EVP_CIPHER_CTX_free(context);
    return 0;
}
