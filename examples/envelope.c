/* SPDX-License-Identifier: Apache-2.0
 *
 * Encrypts a file or a stream for a key in the token, or decrypts one, in the
 * format of the AWS Encryption SDK. The key is made by
 * `keybridge key create NAME --use envelope --type aes-256`.
 *
 *     cc envelope.c $(pkg-config --cflags --libs keybridge) -o envelope
 *     ./envelope encrypt backup-key <backup.tar >backup.tar.encrypted
 *     ./envelope decrypt backup-key backup.tar.encrypted backup.tar
 */
#include <keybridge/keybridge.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIN_MAX = 255, PIECE = 256 * 1024 };

/* Where bytes come from and go to. */
struct ends {
    int in;
    struct kb_outfile *file; /* NULL: standard output */
};

/* --- the token --------------------------------------------------------------- */

static enum kb_status open_keystore(struct kb_keystore **keystore, struct kb_secret **pin,
                                    struct kb_error *err)
{
    struct kb_keystore_options options;
    struct kb_config *config = NULL;
    char *path = NULL;
    enum kb_status status = kb_config_load(&config, NULL, err);

    if (status == KB_OK)
        status = kb_config_pin_path(config, &path, err);
    if (status == KB_OK && !path)
        status = kb_error_set(err, KB_ERR_PIN, "no file with a PIN is set up");
    if (status == KB_OK)
        status = kb_secret_read_file(pin, path, PIN_MAX + 2, true, err);
    if (status == KB_OK) {
        kb_config_keystore(config, &options);
        options.pin = *pin;
        status = kb_keystore_open(keystore, &options, err);
    }
    free(path);
    kb_config_free(config);
    return status;
}

/* Messages for one key: the name a reader knows it by is ours to choose. */
static enum kb_status make_esdk(struct kb_esdk **esdk, struct kb_keystore *keystore,
                                const char *key, struct kb_error *err)
{
    const struct kb_raw_keyring_options recipient = {
        .key = key,
        .key_namespace = kb_bytes_text("keybridge"),
        .key_name = kb_bytes_text(key),
    };
    const struct kb_esdk_options options = {.workers = 2};
    struct kb_keyring *keyring = NULL;
    enum kb_status status = kb_keyring_raw(&keyring, keystore, &recipient, err);

    if (status == KB_OK)
        status = kb_esdk_new(esdk, keyring, &options, err);
    kb_keyring_release(keyring); /* the messages have their own reference */
    return status;
}

/* --- bytes ------------------------------------------------------------------- */

/* A source for kb_esdk_pull. */
static enum kb_status read_bytes(void *ctx, uint8_t *out, size_t room, size_t *size,
                                 struct kb_error *err)
{
    const struct ends *ends = ctx;
    ssize_t got;

    do
        got = read(ends->in, out, room);
    while (got < 0 && errno == EINTR);
    *size = got > 0 ? (size_t)got : 0;
    return got < 0 ? kb_error_errno(err, KB_ERR_SYSTEM, errno, "the input cannot be read") : KB_OK;
}

/* A sink for kb_esdk_push. */
static enum kb_status write_bytes(void *ctx, struct kb_bytes bytes, struct kb_error *err)
{
    const struct ends *ends = ctx;

    if (ends->file)
        return kb_outfile_write(ends->file, bytes, err);
    return kb_fd_write(STDOUT_FILENO, bytes, "standard output", err);
}

/* --- one message ------------------------------------------------------------- */

/* By push: what was read is handed in, and what comes of it goes to the sink. */
static enum kb_status encrypt(struct kb_esdk *esdk, struct ends *ends, uint8_t *piece,
                              struct kb_error *err)
{
    const struct kb_pair context = {kb_bytes_text("made-by"), kb_bytes_text("example")};
    const struct kb_esdk_encrypt_options options = {
        .suite = 0x0478, /* not signed, so that it can be read as it streams */
        .frame_length = 65536,
        .context = &context,
        .context_count = 1,
    };
    const struct kb_esdk_sink sink = {write_bytes, ends};
    struct kb_esdk_message *message = NULL;
    enum kb_status status = kb_esdk_encrypt(&message, 1, esdk, &options, err);
    size_t size = 1;

    while (status == KB_OK && size) {
        status = read_bytes(ends, piece, PIECE, &size, err);
        if (status == KB_OK)
            status = kb_esdk_push(message, (struct kb_bytes){piece, size}, size == 0, &sink, err);
    }
    kb_esdk_free(message);
    return status;
}

/* By pull: bytes are asked for until there are no more; only then the message
 * was whole. What is written before is verified, but maybe not all. */
static enum kb_status decrypt(struct kb_esdk *esdk, struct ends *ends, uint8_t *piece,
                              struct kb_error *err)
{
    const struct kb_pair required = {kb_bytes_text("made-by"), kb_bytes_text("example")};
    const struct kb_esdk_decrypt_options options = {
        .required = &required,
        .required_count = 1,
        /* A signature is verified at the end, when standard output has the rest already. */
        .unsigned_only = !ends->file,
    };
    const struct kb_esdk_source source = {read_bytes, ends};
    struct kb_esdk_message *message = NULL;
    enum kb_status status = kb_esdk_decrypt(&message, esdk, &options, err);
    size_t size = 1;

    while (status == KB_OK && size) {
        status = kb_esdk_pull(message, &source, piece, PIECE, &size, err);
        if (status == KB_OK)
            status = write_bytes(ends, (struct kb_bytes){piece, size}, err);
    }
    kb_esdk_free(message);
    return status;
}

/* The file appears when all of it is right, and not before. */
static enum kb_status run(struct kb_esdk *esdk, bool encrypts, char **paths, struct kb_error *err)
{
    struct ends ends = {.in = STDIN_FILENO};
    uint8_t *piece = malloc(PIECE);
    enum kb_status status = piece ? KB_OK : kb_error_set(err, KB_ERR_MEMORY, "no memory");

    if (status == KB_OK && paths[0]) {
        ends.in = open(paths[0], O_RDONLY | O_CLOEXEC);
        status = ends.in < 0
                     ? kb_error_errno(err, KB_ERR_NOT_FOUND, errno, "%s", paths[0])
                     : kb_outfile_open(&ends.file, paths[1], 0600, KB_OUTFILE_REPLACE, err);
    }
    if (status == KB_OK)
        status = encrypts ? encrypt(esdk, &ends, piece, err) : decrypt(esdk, &ends, piece, err);
    if (status == KB_OK && ends.file)
        status = kb_outfile_commit(ends.file, err);
    else
        kb_outfile_abort(ends.file);
    if (ends.in > STDIN_FILENO)
        close(ends.in);
    if (piece)
        kb_wipe(piece, PIECE);
    free(piece);
    return status;
}

int main(int argc, char **argv)
{
    struct kb_keystore *keystore = NULL;
    struct kb_secret *pin = NULL;
    struct kb_esdk *esdk = NULL;
    struct kb_error error = {0};
    enum kb_status status;

    kb_process_harden();
    if ((argc != 3 && argc != 5) ||
        (strcmp(argv[1], "encrypt") != 0 && strcmp(argv[1], "decrypt") != 0)) {
        fputs("usage: envelope encrypt|decrypt KEY [IN OUT]\n", stderr);
        return KB_EXIT_USAGE;
    }
    status = open_keystore(&keystore, &pin, &error);
    if (status == KB_OK)
        status = make_esdk(&esdk, keystore, argv[2], &error);
    if (status == KB_OK)
        status = run(esdk, argv[1][0] == 'e', argv + 3, &error);
    if (status != KB_OK) {
        fprintf(stderr, "envelope: %s\n", kb_error_text(&error));
        if (error.hint[0])
            fprintf(stderr, "envelope: hint: %s\n", error.hint);
    }
    kb_esdk_release(esdk);
    kb_keystore_close(keystore);
    kb_secret_free(pin); /* borrowed by the keystore until now */
    return (int)kb_status_exit(status);
}
