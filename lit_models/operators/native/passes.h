/* All passes for vectors of WIDTH floats. */
#include "copies.h"
#include "involution.h"
#include "depthwise.h"
#include "batch_norm.h"
#undef vf
#undef SUMS
#undef EACH_BLOCK
#undef BLOCK
