/* SPDX-License-Identifier: Apache-2.0
 *
 * Encrypts one item with the token and the keys that `keybridge init` set up,
 * and prints it as it would be stored. See libkeybridge(3).
 *
 *     cc encrypt-item.c $(pkg-config --cflags --libs keybridge) -o encrypt-item
 *     ./encrypt-item '{"id":{"S":"a1"},"name":{"S":"Ann"}}'
 */
#include <keybridge/keybridge.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PIN_MAX = 255 };

static const char sample[] =
    "{\"id\":{\"S\":\"a1\"},\"name\":{\"S\":\"Ann\"},\"age\":{\"N\":\"41\"}}";

/* The settings, and the PIN from the file they name. */
static enum kb_status read_settings(struct kb_config **config, struct kb_secret **pin,
                                    struct kb_error *err)
{
    char *path = NULL;
    enum kb_status status = kb_config_load(config, NULL, err);

    if (status == KB_OK)
        status = kb_config_pin_path(*config, &path, err);
    if (status == KB_OK && !path)
        status = kb_error_set(err, KB_ERR_PIN, "no file with a PIN is set up");
    if (status == KB_OK)
        status = kb_secret_read_file(pin, path, PIN_MAX + 2, true, err);
    free(path);
    return status;
}

/* What encrypts items of the table "People", whose partition key is "id". */
static enum kb_status make_encryptor(struct kb_ddbec **ddbec, struct kb_keystore *keystore,
                                     const struct kb_config *config, struct kb_error *err)
{
    const struct kb_provider_options keys = {
        .wrap_key = kb_config_get(config, KB_SETTING_WRAP_KEY),
        .sign_key = kb_config_get(config, KB_SETTING_SIGN_KEY),
    };
    const struct kb_ddbec_options options = {.table_name = "People", .partition_key = "id"};
    struct kb_provider *provider = NULL;
    enum kb_status status = kb_provider_wrapped(&provider, keystore, &keys, err);

    if (status == KB_OK)
        status = kb_ddbec_new(ddbec, &options, provider, err);
    kb_provider_release(provider); /* the encryptor has its own reference */
    return status;
}

/* A batch of one. What is wrong with the item is in the line, what is wrong
 * with the token is the return value. */
static enum kb_status encrypt(struct kb_ddbec *ddbec, const char *item, struct kb_error *err)
{
    struct kb_line line = {.number = 1, .in = kb_bytes_text(item)};
    struct kb_worker *worker = NULL;
    enum kb_status status = kb_worker_new(&worker, ddbec, err);

    if (status == KB_OK)
        status = kb_ddbec_encrypt(worker, &line, 1, err);
    if (status == KB_OK && line.error.status != KB_OK) {
        *err = line.error;
        status = line.error.status;
    }
    if (status == KB_OK)
        status = kb_fd_write(STDOUT_FILENO, line.out, "standard output", err);
    if (status == KB_OK)
        status = kb_fd_write(STDOUT_FILENO, kb_bytes_text("\n"), "standard output", err);
    kb_worker_free(worker); /* line.out ends here */
    return status;
}

int main(int argc, char **argv)
{
    struct kb_keystore_options options;
    struct kb_config *config = NULL;
    struct kb_keystore *keystore = NULL;
    struct kb_ddbec *ddbec = NULL;
    struct kb_secret *pin = NULL;
    struct kb_error error = {0};
    enum kb_status status;

    kb_process_harden();
    status = read_settings(&config, &pin, &error);
    if (status == KB_OK) {
        kb_config_keystore(config, &options);
        options.pin = pin;
        status = kb_keystore_open(&keystore, &options, &error);
    }
    if (status == KB_OK)
        status = make_encryptor(&ddbec, keystore, config, &error);
    if (status == KB_OK)
        status = encrypt(ddbec, argc > 1 ? argv[1] : sample, &error);
    if (status != KB_OK) {
        fprintf(stderr, "encrypt-item: %s\n", kb_error_text(&error));
        if (error.hint[0])
            fprintf(stderr, "encrypt-item: hint: %s\n", error.hint);
    }
    kb_ddbec_release(ddbec);
    kb_keystore_close(keystore);
    kb_secret_free(pin); /* borrowed by the keystore until now */
    kb_config_free(config);
    return (int)kb_status_exit(status);
}
