/* SPDX-License-Identifier: Apache-2.0
 *
 * Everything libkeybridge offers.
 */
#ifndef KEYBRIDGE_KEYBRIDGE_H
#define KEYBRIDGE_KEYBRIDGE_H

#include <keybridge/aws.h>
#include <keybridge/bytes.h>
#include <keybridge/config.h>
#include <keybridge/csv.h>
#include <keybridge/ddbec.h>
#include <keybridge/esdk.h>
#include <keybridge/file.h>
#include <keybridge/keyring.h>
#include <keybridge/keystore.h>
#include <keybridge/kms.h>
#include <keybridge/object.h>
#include <keybridge/provider.h>
#include <keybridge/s3.h>
#include <keybridge/s3ec.h>
#include <keybridge/secret.h>
#include <keybridge/status.h>
#include <keybridge/stream.h>
#include <keybridge/table.h>
#include <keybridge/vault.h>

#endif
