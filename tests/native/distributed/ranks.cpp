// Ranks that are processes: run by mpirun, or by gloo.sh with RANK, WORLD_SIZE, MASTER_ADDR and
// MASTER_PORT, once a world size (CMakeLists.txt). Each rank runs the same tests in the same order;
// what fails on one ends all.
//
//   ranks                 the tests
//   ranks FAULT RANK STEP a run in which a rank meets with a fault: kill, stall, wrong_size or nan;
//                         none: it says "under way" and goes on until something else ends it
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <string_view>

#include "support/sharded_run.h"

namespace llavasharp::test {
namespace {

// How long a rank waits for another, in milliseconds: whatever the load, and where one must miss.
constexpr int32_t kPatience = 120'000;
constexpr int32_t kDeadline = 10'000;

Communicator ranks;
llv_communicator_info place;

int64_t elapsed_ms(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                               begin)
      .count();
}

TEST(Ranks, SeeEachOthersBytesWhateverTheirNumber) {
  for (const size_t count : {0UL, 1UL, 7UL, 4095UL, 4097UL, 100'003UL, 9'000'001UL}) {
    const std::vector<uint8_t> mine(count, static_cast<uint8_t>(17 * place.rank + 1));
    const std::vector<uint8_t> all = gather(ranks, mine);
    for (size_t rank = 0; count > 0 && rank < static_cast<size_t>(place.world); ++rank) {
      EXPECT_EQ(all[rank * count], 17 * rank + 1);
      EXPECT_EQ(all[(rank + 1) * count - 1], 17 * rank + 1);
    }
  }
}

class Stage : public testing::TestWithParam<int32_t> {};

TEST_P(Stage, TrainsAsOneProcessDoes) {
  for (const int32_t accumulation : {1, 3}) {
    if (accumulation == 3 && place.kind == LLV_COMMUNICATOR_GLOO) {
      continue;  // The transport sees no difference.
    }
    for (const int32_t units :
         {+LLV_UNIT_PROJECTOR, LLV_UNIT_PROJECTOR | LLV_UNIT_LORA, kAllButTower}) {
      const ZeroRun run{.stage = GetParam(),
                        .world = place.world,
                        .accumulation = accumulation,
                        .units = units,
                        .lora = (units & LLV_UNIT_LORA) != 0,
                        .steps = 3};
      const Outcome ours = train(run, ranks, place.rank);
      expect_equal(ours, train_alone(run), 1e-5);
      EXPECT_TRUE(train(run, ranks, place.rank) == ours);  // To the byte.
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Zero, Stage, testing::Values(0, 1, 2, 3));

int run_fault(std::string_view fault, int32_t rank, int64_t step) {
  const std::map<std::string_view, int32_t> faults{{"none", LLV_FAULT_NONE},
                                                   {"kill", LLV_FAULT_KILL},
                                                   {"stall", LLV_FAULT_STALL},
                                                   {"wrong_size", LLV_FAULT_WRONG_SIZE},
                                                   {"nan", LLV_FAULT_NAN}};
  const ZeroRun run{.stage = 3, .world = place.world};
  const Engine engine = make_engine(1);
  const Model model = run_model(engine, run);
  llv_zero_options zero = zero_options(run.stage, 1);
  zero.fault = faults.at(fault);
  zero.fault_rank = rank;
  zero.fault_step = step;
  const Trainer trainer = make_sharded(model, ranks, zero);
  const auto begin = std::chrono::steady_clock::now();
  const int64_t updates = zero.fault == LLV_FAULT_NONE ? 1'000'000 : 100;
  for (int64_t index = 0; index < updates; ++index) {
    const Batch batch = run_batch(index * place.world + place.rank);
    const llv_batch view = batch.view();
    llv_loss loss{};
    double norm = 0;
    llv_status status = llv_trainer_accumulate(trainer.get(), &view, kScale, &loss);
    if (status == LLV_OK) {
      status = llv_trainer_step(trainer.get(), &kGroup, 1, 1.0, &norm);
    }
    if (status == LLV_OK && zero.fault == LLV_FAULT_NONE && index == 2) {
      std::puts("under way");
      std::fflush(stdout);
    }
    if (status != LLV_OK) {
      std::printf("rank %d, after %lld ms: status %d: %s\n", place.rank,
                  static_cast<long long>(elapsed_ms(begin)), status, llv_error_message());
      std::fflush(stdout);
      if (status != LLV_NUMERIC) {  // That every rank knows.
        llv_communicator_stop(ranks.get(), 3, "a rank failed");
      }
      return status == LLV_NUMERIC ? 4 : 3;
    }
  }
  std::puts("nothing happened");
  return 1;
}

}  // namespace
}  // namespace llavasharp::test

static int number_of(const char* variable) {
  const char* value = std::getenv(variable);
  return value == nullptr ? -1 : std::atoi(value);
}

int main(int argc, char** argv) {
  using llavasharp::test::kDeadline;
  using llavasharp::test::kPatience;
  using llavasharp::test::place;
  using llavasharp::test::ranks;
  testing::InitGoogleTest(&argc, argv);
  const char* master = std::getenv("MASTER_ADDR");
  const int32_t timeout = argc == 4 ? kDeadline : kPatience;
  ranks = master == nullptr
              ? llavasharp::test::make_communicator(LLV_COMMUNICATOR_MPI, -1, -1, "", timeout)
              : llavasharp::test::make_communicator(
                    LLV_COMMUNICATOR_GLOO, number_of("RANK"), number_of("WORLD_SIZE"),
                    std::string(master) + ":" + std::getenv("MASTER_PORT"), timeout);
  if (!ranks || llv_communicator_info_get(ranks.get(), &place) != LLV_OK) {
    std::printf("no ranks: %s\n", llv_error_message());
    return 2;
  }
  int result = 0;
  if (argc == 4) {
    result = llavasharp::test::run_fault(argv[1], std::atoi(argv[2]), std::atoll(argv[3]));
  } else {
    result = RUN_ALL_TESTS();
    if (result != 0) {
      llv_communicator_stop(ranks.get(), result, "a test failed");
    }
  }
  ranks.reset();
  return result;
}
