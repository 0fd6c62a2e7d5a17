// SPDX-License-Identifier: LGPL-2.1-or-later
//
// All of common/protocol that a program's shim speaks.
#pragma once

#include "protocol/header.h"
#include "protocol/page.h"
#include "protocol/park.h"
#include "protocol/program.h"
#include "protocol/service.h"
#include "protocol/table.h"
