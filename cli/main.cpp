#include "command.h"

int main(int argc, char** argv) {
  return flash_mla::cli::run(argc, argv);
}
