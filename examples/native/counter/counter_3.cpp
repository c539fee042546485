// counter_3.cpp: a counter, version 3.0, in C++. No exception leaves it: lcr calls it as C. The state is that of version 2.
#include <cstdio>
#include <cstring>
#include <exception>
#include <iterator>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "lcr_component.h"

namespace {

class Counter {
public:
	explicit Counter(const lcr_services &services) : services_(services) {}

	long add(int key)
	{
		std::lock_guard guard(lock_);
		long count = ++counts_[key];
		++total_;
		return count;
	}

	long total()
	{
		std::lock_guard guard(lock_);
		return total_;
	}

	long count(int key)
	{
		std::lock_guard guard(lock_);
		auto found = counts_.find(key);
		return found == counts_.end() ? 0 : found->second;
	}

	std::string text()
	{
		std::lock_guard guard(lock_);
		std::string written;
		for (auto [key, count] : counts_)
			written += (written.empty() ? "" : ", ") + std::to_string(key) + ": " + std::to_string(count);
		return written;
	}

	// The total, how many keys there are, the keys, their counts.
	std::vector<int64_t> state() const
	{
		std::vector<int64_t> state{total_, static_cast<int64_t>(counts_.size())};
		for (auto &entry : counts_)
			state.push_back(entry.first);
		for (auto &entry : counts_)
			state.push_back(entry.second);
		return state;
	}

	void take_over(const std::vector<int64_t> &state)
	{
		if (state.size() < 2 || state.size() % 2 || static_cast<uint64_t>(state[1]) != (state.size() - 2) / 2)
			throw std::invalid_argument("the state has another size than its head says");
		std::map<int64_t, long> counts;
		auto keys = state.begin() + 2, ends = keys + state[1];
		for (auto key = keys; key != ends; ++key)
			counts[*key] = key[state[1]];
		counts_ = std::move(counts);
		total_ = state[0];
	}

	void test() const
	{
		long found = 0;
		for (auto &entry : counts_)
			found += entry.second;
		if (found != total_)
			throw std::logic_error("the counts do not add up to the total");
	}

	void log_error(const char *text) const { services_.log(services_.host, LCR_ERROR, text); }

private:
	const lcr_services &services_;
	std::mutex lock_;
	std::map<int64_t, long> counts_;
	long total_ = 0;
};

// The border: what is thrown inside is logged, and `failed` is returned.
template <typename Result, typename Function>
Result guarded(void *self, Result failed, Function function) noexcept
{
	auto &counter = *static_cast<Counter *>(self);
	try {
		return function(counter);
	} catch (const std::exception &error) {
		counter.log_error(error.what());
	} catch (...) {
		counter.log_error("something was thrown that is no std::exception");
	}
	return failed;
}

long add(void *self, int key)
{
	return guarded(self, -1L, [key](Counter &counter) { return counter.add(key); });
}

long total(void *self)
{
	return guarded(self, -1L, [](Counter &counter) { return counter.total(); });
}

long count(void *self, int key)
{
	return guarded(self, -1L, [key](Counter &counter) { return counter.count(key); });
}

const char *text(void *self)
{
	// Each thread's own, and plain: a thread-local with a destructor would keep the library from being unloaded.
	static thread_local char written[1024];
	const char *nothing = nullptr;
	return guarded(self, nothing, [](Counter &counter) -> const char * {
		std::snprintf(written, sizeof written, "%s", counter.text().c_str());
		return written;
	});
}

int construct(const lcr_services *services, const void *, std::size_t, void **self)
{
	try {
		*self = new Counter(*services);
		return 0;
	} catch (const std::exception &error) {
		services->log(services->host, LCR_ERROR, error.what());
		return -1;
	}
}

void destruct(void *self) { delete static_cast<Counter *>(self); }

int export_state(void *self, const lcr_writer *writer)
{
	return guarded(self, -1, [writer](Counter &counter) {
		auto state = counter.state();
		return writer->write(writer->to, state.data(), state.size() * sizeof state[0]);
	});
}

int import_state(void *self, uint32_t, const void *data, std::size_t size)
{
	return guarded(self, -1, [data, size](Counter &counter) {
		std::vector<int64_t> state(size / sizeof(int64_t));
		if (size % sizeof(int64_t))
			throw std::invalid_argument("the state is cut off in the middle of a number");
		if (size)
			std::memcpy(state.data(), data, size);
		counter.take_over(state);
		return 0;
	});
}

int self_test(void *self)
{
	return guarded(self, -1, [](Counter &counter) {
		counter.test();
		return 0;
	});
}

const lcr_function functions[] = {
	LCR_FUNCTION("add", "long(int key)", add),
	LCR_FUNCTION("total", "long(void)", total),
	LCR_FUNCTION("text", "const char *(void)", text),
	LCR_FUNCTION("count", "long(int key)", count),
};

const lcr_interface counter_interface = {
	.size = sizeof counter_interface,
	.flags = 0,
	.name = "counter",
	.version = "3.0",
	.replaces = ">=2,<4",
	.schema = 2,
	.schema_oldest = 2,
	.functions = functions,
	.function_count = std::size(functions),
	.requirements = nullptr,
	.requirement_count = 0,
	.constructor = construct,
	.destructor = destruct,
	.state_export = export_state,
	.state_import = import_state,
	.self_test = self_test,
	.schema_writes = 0,
	.reserved = 0,
};

const lcr_interface *const interfaces[] = {&counter_interface};

} // namespace

const struct lcr_component lcr_component = {
	.size = sizeof lcr_component,
	.abi = LCR_ABI,
	.about = "counts by key, in C++",
	.interfaces = interfaces,
	.interface_count = std::size(interfaces),
};
