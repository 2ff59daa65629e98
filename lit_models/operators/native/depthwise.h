static void NAME(depthwise)(Job *job) {(void)job;}
