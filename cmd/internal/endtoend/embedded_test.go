//go:build !integration

package endtoend

// startEngines starts the engines that the tests run on without the build tag:
// one broker, whoever asks.
func (s *stack) startEngines(int) { s.startEmbedded() }

func underTest() string {
	return "engines under test: embedded Kafka (kfake) and embedded ClickHouse (libchdb); make integration runs the tests on real ones"
}
