class Handler
  def run(word)
    word.upcase
  end
end
