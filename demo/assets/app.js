// Shows the event stream. It does not reconnect: a stream that the proxy closed is what the tour wants to show.
const shown = document.getElementById('tick');
const source = new EventSource('/events');
source.onmessage = (event) => {
  shown.dataset.state = 'open';
  shown.textContent = `tick ${JSON.parse(event.data).tick}`;
};
source.onerror = () => {
  source.close();
  shown.dataset.state = 'closed';
  shown.textContent = 'closed by the proxy';
};
